#include <algorithm>
#include <charconv>
#include <optional>

#include "config/describe.h"
#include "config/document.h"
#include "config/foreign_names.h"
#include "config/node_reader.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/config/config.h"

namespace grpo::config {
namespace {

namespace fs = std::filesystem;

struct File {
  fs::path path;
  YAML::Node document;
};

// The file that another file names as its `base:`, and the place where it does so.
struct Base {
  fs::path path;
  Place place;
};

// Looks at the first `base:` only; a second one is reported when the file's keys are read.
std::optional<Base> base_of(const File& file) {
  if (!file.document.IsMap()) return std::nullopt;
  for (const auto& entry : file.document) {
    if (!entry.first.IsScalar() || entry.first.Scalar() != "base") continue;
    const Place place{file.path.string(), entry.first.Mark().line + 1};
    if (!entry.second.IsScalar()) fail(place, "base", "expected the name of a YAML file");
    const fs::path path = (file.path.parent_path() / entry.second.Scalar()).lexically_normal();
    std::error_code unreadable;
    if (!fs::is_regular_file(path, unreadable)) fail(place, "base", "no such file: " + path.string());
    return Base{path, place};
  }
  return std::nullopt;
}

void check_for_cycle(const std::vector<File>& chain, const Base& base) {
  std::vector<std::string> names;
  for (const auto& file : chain) names.push_back(file.path.string());
  names.push_back(base.path.string());
  const bool seen =
      std::any_of(chain.begin(), chain.end(), [&](const File& file) { return fs::equivalent(file.path, base.path); });
  if (seen) fail(base.place, "base", "a file inherits itself: " + base::join(names, " -> "));
}

std::vector<File> read_chain(const fs::path& file) {
  std::vector<File> chain{{file, parse_file(file)}};
  for (auto base = base_of(chain.back()); base; base = base_of(chain.back())) {
    check_for_cycle(chain, *base);
    chain.push_back({base->path, parse_file(base->path)});
  }
  return chain;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts{""};
  for (const char c : text) {
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

size_t parse_index(const std::string& text, size_t size, const std::string& key) {
  size_t index = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  if (error == std::errc() && end == text.data() + text.size() && index < size) return index;
  fail({kCommandLine}, key, base::concat("expected the index of one of ", size, " elements, got ", text));
}

// Sets the field that a dotted key names, such as reward.terms.0.weight.
class Override {
 public:
  Override(const base::Fields& root, NodeReader& reader, std::string key)
      : root_(root), reader_(reader), key_(std::move(key)), parts_(split(key_, '.')) {}

  void set(const YAML::Node& value) const { set_in(root_, "", 0, value); }

 private:
  void set_in(const base::Fields& fields, const std::string& prefix, size_t depth, const YAML::Node& value) const {
    const std::string& name = parts_[depth];
    const base::Field* field = find_field(fields, name);
    if (!field && !own_name_of(key_).empty())
      fail({kCommandLine}, key_, "unknown key (what other trainers call so is here " + own_name_of(key_) + ")");
    if (!field) reader_.fail_unknown({kCommandLine}, prefix, name, fields);
    const std::string here = joined_key(prefix, name);
    const bool is_last = depth + 1 == parts_.size();
    if (is_last) return reader_.read_value(value, *field, here);
    if (const auto* section = std::get_if<base::SectionField>(&field->value)) {
      return set_in(section->fields(), here, depth + 1, value);
    }
    const auto* list = std::get_if<base::SectionListField>(&field->value);
    if (!list)
      fail({kCommandLine}, key_, here + " has no keys below it, it is one value (" + type_name(field->value) + ")");
    const size_t index = parse_index(parts_[depth + 1], list->size(), key_);
    if (depth + 2 == parts_.size()) fail({kCommandLine}, key_, "expected a key of this element after its index");
    set_in(list->fields(index), joined_key(here, parts_[depth + 1]), depth + 2, value);
  }

  const base::Fields& root_;
  NodeReader& reader_;
  std::string key_;
  std::vector<std::string> parts_;
};

void apply_override(const base::Fields& root, const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    fail({kCommandLine}, text, "expected key=value, as optimizer.lr=1e-6");
  }
  const std::string key = text.substr(0, equals);
  if (key.starts_with('+')) {
    fail({kCommandLine}, key, "a key needs no plus here (Hydra's): write " + text.substr(text.find_first_not_of('+')));
  }
  NodeReader reader(root, kCommandLine);
  Override(root, reader, key).set(parse_override_value(key, text.substr(equals + 1)));
}

}  // namespace

LoadedConfig load(const base::Fields& root, const Source& source) {
  LoadedConfig loaded;
  if (!source.file.empty()) {
    const std::vector<File> chain = read_chain(source.file);
    std::for_each(chain.rbegin(), chain.rend(),
                  [&](const File& file) { NodeReader(root, file.path.string()).read_file(file.document); });
    for (const auto& file : chain) loaded.files.push_back(file.path);
    loaded.folder = source.file.parent_path();
  }
  for (const auto& text : source.overrides) apply_override(root, text);
  return loaded;
}

void read_field(const base::Field& field, const std::string& name, const std::string& text) {
  const bool is_text = std::holds_alternative<std::string*>(field.value) ||
                       std::holds_alternative<base::TextOrMap*>(field.value) ||
                       std::holds_alternative<std::vector<std::string>*>(field.value);
  const base::Fields no_others{};
  NodeReader(no_others, kCommandLine)
      .read_value(is_text ? YAML::Node(text) : parse_override_value(name, text), field, name);
}

}  // namespace grpo::config
