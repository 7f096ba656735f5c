#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "grpo/base/fields.h"

// A YAML file and `key=value` overrides -> plain structs, by way of the field lists of base/fields.h; and back.
// Every function that takes Fields works on the live struct the fields were taken from.

namespace grpo::config {

struct Source {
  std::filesystem::path file;  // empty: defaults and overrides only
  std::vector<std::string>
      overrides;  // "optimizer.lr=1e-6", "data.train=[a.jsonl, b.jsonl]", "reward.terms.0.weight=2"
};

struct LoadedConfig {
  std::vector<std::filesystem::path> files;  // what was read: the file, then its base, the base's base, ...
  std::filesystem::path folder;              // of the file, as resolve_path() takes it; empty without a file
};

/// Reads `source` into the struct behind `root`: the deepest `base:` first, then each file above it, then the overrides
/// in order. What is not mentioned keeps its value. Sections merge key by key; lists and mappings of texts are replaced
/// as a whole. A `base:` is relative to the folder of the file that names it.
/// Values: integers may be written 512 or 1e3; booleans are true or false; null or ~ only for optional values; `auto`
/// only for values that may be left to the program; quoted scalars are texts.
/// Throws base::ConfigError with "FILE:LINE: section.key: ..." ("command line: section.key: ..." for overrides) on the
/// first problem: a file that is missing or no YAML, a cycle of bases, a key that is unknown or given twice, a value of
/// the wrong type or out of range. The struct then holds what was read before the problem.
LoadedConfig load(const base::Fields& root, const Source& source);

/// Reads `text` into one field; `name` is what messages call it, as "--top-p". Values are written as in a file, but a
/// text is taken as it is, whatever YAML makes of its characters. Throws base::ConfigError.
void read_field(const base::Field& field, const std::string& name, const std::string& text);

/// What may stand there, "number" or "auto|cpu|cuda", and the current value, both as a command's help shows them.
/// REQUIRES: the field is no section.
std::string kind_text(const base::Field& field);
std::string value_text(const base::Field& field);

/// `name` as given, else in configs/, each also with ".yaml" appended. Throws base::ConfigError listing the places and
/// the most similar file of configs/.
std::filesystem::path find_config(const std::string& name);

/// A path in a configuration, ~/ being home: a relative one from the current directory if it exists there, else from
/// `config_folder` if it exists there, else unchanged (the reader of the file then says that it is missing).
std::filesystem::path resolve_path(const std::string& text, const std::filesystem::path& config_folder);

/// Every key and value as YAML, in the order of the field lists. Loading it gives the same values bit for bit.
/// REQUIRES: no infinite or NaN number (a value that may be absent is a std::optional).
std::string to_yaml(const base::Fields& root);

/// A table of every key for a terminal: type, default (the current value), allowed values, meaning. Lists of sections
/// are shown by one default element, which is appended for the duration of the call.
std::string help_text(const base::Fields& root);

/// The same as Markdown, one table a section: docs/config.md.
std::string to_markdown(const base::Fields& root);

struct Difference {
  std::string key;  // dotted
  std::string a;    // as in YAML; "(absent)" for an element that only one of the two has
  std::string b;
  bool operator==(const Difference&) const = default;
};

/// The keys whose values differ between two structs of one type, in the order of the field lists.
std::vector<Difference> differences(const base::Fields& a, const base::Fields& b);

}  // namespace grpo::config
