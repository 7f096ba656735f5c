#pragma once

#include <yaml-cpp/yaml.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/document.h"
#include "grpo/base/fields.h"

namespace grpo::config {

/// Reads YAML nodes of one source (a file or the command line) into fields. Throws
/// base::ConfigError where they do not fit.
class NodeReader {
 public:
  /// `root` is the list of all keys, in which the right place of a misplaced key is
  /// searched. `source` is Place::source.
  NodeReader(const base::Fields& root, std::string source) : root_(root), source_(std::move(source)) {}

  /// Reads a whole file, which is a mapping of sections. Its key `base` does not belong to the configuration.
  void read_file(const YAML::Node& document);

  /// Reads one value; `key` is its full dotted name, for messages.
  void read_value(const YAML::Node& node, const base::Field& field, const std::string& key);

  [[noreturn]] void fail_unknown(const Place& place, const std::string& prefix, const std::string& name,
                                 const base::Fields& section);
  Place place_of(const YAML::Node& node);

 private:
  void read_section(const YAML::Node& map, const base::Fields& fields, const std::string& prefix);
  void read_section_list(const YAML::Node& list, const base::SectionListField& field, const std::string& key);
  void read_element(const YAML::Node& node, const base::Fields& fields, const std::string& key);
  void read_enum(const YAML::Node& node, const base::EnumField& field, const std::string& key);
  void read_text_or_map(const YAML::Node& node, base::TextOrMap& value, const std::string& key);
  template <typename T>
  void read_leaf(const YAML::Node& node, T& value, const base::Range& range, const std::string& key);
  template <typename T>
  void read_leaf(const YAML::Node& node, std::optional<T>& value, const base::Range& range, const std::string& key);
  template <typename T>
  void read_leaf(const YAML::Node& node, base::Auto<T>& value, const base::Range& range, const std::string& key);
  template <typename T>
  void read_leaf(const YAML::Node& list, std::vector<T>& values, const base::Range& range, const std::string& key);
  template <typename T>
  T read_scalar(const YAML::Node& node, const base::Range& range, const std::string& key,
                const std::string& or_else = "");
  [[noreturn]] void fail_expected(const YAML::Node& node, const std::string& key, const std::string& expected);

  const base::Fields& root_;
  std::string source_;
  int key_line_ = 0;  // line of the key that was read last
};

/// The field called `name`, or nullptr.
const base::Field* find_field(const base::Fields& fields, const std::string& name);

}  // namespace grpo::config
