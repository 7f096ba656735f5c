#include "config/node_reader.h"

#include <set>

#include "config/describe.h"
#include "config/foreign_names.h"
#include "config/scalar.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::config {
namespace {

const char* const kBaseKey = "base";

// Whether a scalar is neither quoted nor tagged. yaml-cpp tags plain scalars "?" and quoted or block scalars "!"; other
// tags, such as !!str, are explicit.
bool is_plain(const YAML::Node& node) { return node.IsScalar() && node.Tag() == "?"; }

// Shortens a text for a message; the cut never splits a UTF-8 character.
std::string shortened(const std::string& text) {
  size_t size = 60;
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return text.substr(0, size) + "...";
}

std::string got(const YAML::Node& node) {
  if (node.IsSequence()) return "a list";
  if (node.IsMap()) return "a mapping";
  if (!node.IsScalar()) return "null";
  const std::string text = shortened(node.Scalar());
  return is_plain(node) ? text : "the text " + format_text(text);
}

std::vector<std::string> names_of(const base::Fields& fields) {
  std::vector<std::string> names;
  for (const auto& field : fields.list()) names.push_back(field.name);
  return names;
}

// The dotted name of the first key called `name` anywhere below `fields`, or "".
std::string find_elsewhere(const base::Fields& fields, const std::string& prefix, const std::string& name) {
  for (const auto& field : fields.list()) {
    const std::string key = joined_key(prefix, field.name);
    if (field.name == name) return key;
    if (const auto* section = std::get_if<base::SectionField>(&field.value)) {
      const std::string below = find_elsewhere(section->fields(), key, name);
      if (!below.empty()) return below;
    }
  }
  return "";
}

bool is_inside(double value, const base::Range& range) {
  return (range.open_min ? value > range.min : value >= range.min) && value <= range.max;
}

// Turns {problem}, which in YAML is a mapping from "problem" to nothing, back into the text "{problem}"; "" for any
// other mapping. So users need no quotes.
std::string braced_word(const YAML::Node& map) {
  const auto entry = map.begin();
  const bool braced =
      map.size() == 1 && map.Style() == YAML::EmitterStyle::Flow && entry->second.IsNull() && entry->first.IsScalar();
  return braced ? "{" + entry->first.Scalar() + "}" : "";
}

template <typename T>
struct ScalarType;
template <>
struct ScalarType<bool> {
  static constexpr const char* kName = "true or false";
  static std::optional<bool> parse(const YAML::Node& node, const base::Range&) {
    return is_plain(node) ? parse_bool(node.Scalar()) : std::nullopt;
  }
};
template <>
struct ScalarType<int64_t> {
  static constexpr const char* kName = "an integer";
  static std::optional<int64_t> parse(const YAML::Node& node, const base::Range& range) {
    const auto value = is_plain(node) ? parse_integer(node.Scalar()) : std::nullopt;
    return value && is_inside(static_cast<double>(*value), range) ? value : std::nullopt;
  }
};
template <>
struct ScalarType<double> {
  static constexpr const char* kName = "a number";
  static std::optional<double> parse(const YAML::Node& node, const base::Range& range) {
    const auto value = is_plain(node) ? parse_number(node.Scalar()) : std::nullopt;
    return value && is_inside(*value, range) ? value : std::nullopt;
  }
};
template <>
struct ScalarType<std::string> {
  static constexpr const char* kName = "a text";
  static std::optional<std::string> parse(const YAML::Node& node, const base::Range&) {
    return node.IsScalar() ? std::optional(node.Scalar()) : std::nullopt;
  }
};

}  // namespace

const base::Field* find_field(const base::Fields& fields, const std::string& name) {
  for (const auto& field : fields.list()) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

Place NodeReader::place_of(const YAML::Node& node) {
  if (source_ == kCommandLine) return {source_};
  // yaml-cpp gives an absent value the mark of whatever follows, so the line of its key is used.
  return {source_, node.IsNull() || node.Mark().is_null() ? key_line_ : node.Mark().line + 1};
}

void NodeReader::fail_expected(const YAML::Node& node, const std::string& key, const std::string& expected) {
  fail(place_of(node), key, "expected " + expected + ", got " + got(node));
}

void NodeReader::fail_unknown(const Place& place, const std::string& prefix, const std::string& name,
                              const base::Fields& section) {
  if (const std::string own = own_name_of(name); !own.empty())
    fail(place, joined_key(prefix, name), "unknown key (what other trainers call so is here " + own + ")");
  std::vector<std::string> known = names_of(section);
  std::string hint = base::did_you_mean(name, known);
  if (base::nearest_name(name, known).empty()) {
    const std::string elsewhere = find_elsewhere(root_, "", name);
    if (!elsewhere.empty()) hint = " (did you mean " + elsewhere + "?)";
  }
  fail(place, joined_key(prefix, name), "unknown key" + hint);
}

void NodeReader::read_file(const YAML::Node& document) {
  if (!document.IsMap() && !document.IsNull()) fail_expected(document, "", "a mapping of sections");
  read_section(document, root_, "");
}

void NodeReader::read_section(const YAML::Node& map, const base::Fields& fields, const std::string& prefix) {
  if (map.IsNull()) return;  // all lines of the section may be commented out
  if (!map.IsMap() && !fields.list_name().empty())
    return read_value(map, *find_field(fields, fields.list_name()), joined_key(prefix, fields.list_name()));
  if (!map.IsMap()) fail_expected(map, prefix, "a section (a mapping of keys)");
  std::set<std::string> seen;
  for (const auto& entry : map) {
    if (!entry.first.IsScalar()) fail_expected(entry.first, prefix, "a key");
    key_line_ = entry.first.Mark().line + 1;
    const std::string& name = entry.first.Scalar();
    const std::string key = joined_key(prefix, name);
    if (!seen.insert(name).second) fail(place_of(entry.first), key, "given twice");
    const base::Field* field = find_field(fields, name);
    if (!field && prefix.empty() && name == kBaseKey) continue;
    if (!field) fail_unknown(place_of(entry.first), prefix, name, fields);
    read_value(entry.second, *field, key);
  }
}

void NodeReader::read_section_list(const YAML::Node& list, const base::SectionListField& field,
                                   const std::string& key) {
  field.resize(0);  // elements begin with their defaults, not with values of an earlier file
  // A single element needs no brackets if its section can be written as one value.
  if (list.IsScalar() || list.IsMap()) {
    field.resize(1);
    if (!field.fields(0).list_name().empty()) return read_element(list, field.fields(0), joined_key(key, "0"));
  }
  if (!list.IsSequence()) fail_expected(list, key, "a list of sections");
  field.resize(list.size());
  for (size_t i = 0; i < list.size(); ++i) read_element(list[i], field.fields(i), joined_key(key, std::to_string(i)));
}

void NodeReader::read_element(const YAML::Node& node, const base::Fields& fields, const std::string& key) {
  const std::string& alone = fields.list_name();
  const bool reads = node.IsMap() || (node.IsScalar() && !alone.empty());
  if (!reads)
    fail_expected(node, key, base::concat(alone.empty() ? "" : "a " + alone + " or ", "a section (a mapping of keys)"));
  read_section(node, fields, key);
}

void NodeReader::read_enum(const YAML::Node& node, const base::EnumField& field, const std::string& key) {
  if (!node.IsScalar()) fail_expected(node, key, "one of " + base::join(field.names, ", "));
  for (size_t i = 0; i < field.names.size(); ++i) {
    if (field.names[i] == node.Scalar()) return field.set(i);
  }
  fail(place_of(node), key,
       "unknown value " + format_text(node.Scalar()) + base::did_you_mean(node.Scalar(), field.names));
}

void NodeReader::read_text_or_map(const YAML::Node& node, base::TextOrMap& value, const std::string& key) {
  if (node.IsScalar()) {
    value = {.text = node.Scalar(), .map = {}};
    return;
  }
  if (!node.IsMap() || node.size() == 0) fail_expected(node, key, "a text or a mapping of texts");
  if (const auto text = braced_word(node); !text.empty()) {
    value = {.text = text, .map = {}};
    return;
  }
  value = {};
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) fail_expected(entry.first, key, "a key");
    const std::string name = joined_key(key, entry.first.Scalar());
    if (value.map.contains(entry.first.Scalar())) fail(place_of(entry.first), name, "given twice");
    value.map[entry.first.Scalar()] = read_scalar<std::string>(entry.second, {}, name);
  }
}

template <typename T>
T NodeReader::read_scalar(const YAML::Node& node, const base::Range& range, const std::string& key,
                          const std::string& or_else) {
  auto value = ScalarType<T>::parse(node, range);
  if (value) return std::move(*value);
  const std::string bounds = range_text(range);
  fail_expected(node, key, base::concat(ScalarType<T>::kName, bounds.empty() ? "" : " ", bounds, or_else));
}

template <typename T>
void NodeReader::read_leaf(const YAML::Node& node, T& value, const base::Range& range, const std::string& key) {
  value = read_scalar<T>(node, range, key);
}

template <typename T>
void NodeReader::read_leaf(const YAML::Node& node, std::optional<T>& value, const base::Range& range,
                           const std::string& key) {
  value = node.IsNull() ? std::optional<T>() : read_scalar<T>(node, range, key, " or null");
}

template <typename T>
void NodeReader::read_leaf(const YAML::Node& node, base::Auto<T>& value, const base::Range& range,
                           const std::string& key) {
  const bool is_auto = node.IsScalar() && node.Scalar() == "auto";
  value.value = is_auto ? std::optional<T>() : read_scalar<T>(node, range, key, " or auto");
}

template <typename T>
void NodeReader::read_leaf(const YAML::Node& list, std::vector<T>& values, const base::Range& range,
                           const std::string& key) {
  if constexpr (std::is_same_v<T, std::string>) {  // a single text needs no brackets
    if (list.IsScalar()) {
      values = {read_scalar<T>(list, range, key)};
      return;
    }
  }
  if (!list.IsSequence()) fail_expected(list, key, std::string("a list: [") + ScalarType<T>::kName + ", ...]");
  std::vector<T> read;
  for (size_t i = 0; i < list.size(); ++i) {
    read.push_back(read_scalar<T>(list[i], range, joined_key(key, std::to_string(i))));
  }
  values = std::move(read);
}

void NodeReader::read_value(const YAML::Node& node, const base::Field& field, const std::string& key) {
  const auto read = [&]<typename V>(const V& target) {
    if constexpr (std::is_same_v<V, base::EnumField>) {
      read_enum(node, target, key);
    } else if constexpr (std::is_same_v<V, base::SectionField>) {
      read_section(node, target.fields(), key);
    } else if constexpr (std::is_same_v<V, base::SectionListField>) {
      read_section_list(node, target, key);
    } else if constexpr (std::is_same_v<V, base::TextOrMap*>) {
      read_text_or_map(node, *target, key);
    } else {
      read_leaf(node, *target, field.range, key);
    }
  };
  std::visit(read, field.value);
}

}  // namespace grpo::config
