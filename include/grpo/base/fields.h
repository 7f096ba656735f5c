#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace grpo::base {

/// A value that may be left to the program: `auto` in a config file leaves it empty, and the program then chooses.
template <typename T>
struct Auto {
  std::optional<T> value;
  bool operator==(const Auto&) const = default;
};

/// Either a name or a mapping of names to texts. Example: the name of a built-in chat
/// template, or a template spelled out.
struct TextOrMap {
  std::string text;
  std::map<std::string, std::string> map;
  bool is_map() const { return !map.empty(); }
  bool operator==(const TextOrMap&) const = default;
};

/// Inclusive bounds of a number; with `open_min` the lower bound itself is not allowed.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool open_min = false;
};
inline Range at_least(double min) { return {min}; }
inline Range above(double min) { return {.min = min, .open_min = true}; }
inline Range between(double min, double max) { return {min, max}; }

class Fields;

/// An enum as the index of one of several names. `names` is in the order of the enumerators, which count from 0.
struct EnumField {
  std::vector<std::string> names;
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};
/// A nested section: a config struct inside another.
struct SectionField {
  std::function<Fields()> fields;  // they point into the live struct
};
/// A list of sections (`reward.terms`).
struct SectionListField {
  std::function<size_t()> size;
  std::function<void(size_t)> resize;
  std::function<Fields(size_t)> fields;  // the keys of element i
};

using FieldValue = std::variant<bool*, int64_t*, double*, std::string*, std::optional<int64_t>*, std::optional<double>*,
                                Auto<int64_t>*, Auto<double>*, std::vector<std::string>*, std::vector<int64_t>*,
                                std::vector<double>*, TextOrMap*, EnumField, SectionField, SectionListField>;

/// One key of a configuration: its name, where its value is in a live struct, what it
/// means and which values are allowed.
struct Field {
  std::string name;
  FieldValue value;
  std::string doc;
  Range range;
};

template <typename T>
concept HasFields = requires(T& t, Fields& f) {
  t.fields(f);
};

/// The keys of one config struct, in order. A struct lists its keys once, in GRPO_FIELDS(f); parsing, printing, help,
/// validation and docs/config.md all read this list.
class Fields {
 public:
  template <typename T>
  void operator()(std::string name, T& member, std::string doc, Range range = {}) {
    fields_.push_back({std::move(name), make_value(member), std::move(doc), range});
  }
  const std::vector<Field>& list() const& { return fields_; }
  /// A temporary gives its list away by value. Otherwise `for (const auto& field : fields_of(config).list())` would
  /// walk a list that no longer exists.
  std::vector<Field> list() && { return std::move(fields_); }

  /// Lets a config file give a list or a single text where this section's mapping is expected; it is then the
  /// value of the key `name`. This serves as a short spelling, and keeps files readable that were written when
  /// the section was only that list.
  void read_list_as(std::string name) { list_name_ = std::move(name); }
  const std::string& list_name() const { return list_name_; }

  /// The key of this name, to be changed: a struct that lists the keys of another may give one of them other bounds or
  /// another description. Throws std::out_of_range when there is none.
  Field& at(const std::string& name);

 private:
  template <typename T>
  static FieldValue make_value(T& member);

  std::vector<Field> fields_;
  std::string list_name_;
};

template <HasFields T>
Fields fields_of(T& section) {
  Fields fields;
  section.fields(fields);
  return fields;
}

template <typename T>
inline constexpr bool is_section_list = false;
template <HasFields T>
inline constexpr bool is_section_list<std::vector<T>> = true;

inline Field& Fields::at(const std::string& name) {
  for (Field& field : fields_) {
    if (field.name == name) return field;
  }
  throw std::out_of_range("no field is called " + name);
}

/// An enum needs `std::vector<std::string> enum_names(E)` in its own namespace, where
/// argument-dependent lookup finds it.
template <typename T>
FieldValue Fields::make_value(T& member) {
  if constexpr (std::is_enum_v<T>) {
    return EnumField{enum_names(T{}), [&member] { return static_cast<size_t>(member); },
                     [&member](size_t i) { member = static_cast<T>(i); }};
  } else if constexpr (HasFields<T>) {
    return SectionField{[&member] { return fields_of(member); }};
  } else if constexpr (is_section_list<T>) {
    return SectionListField{[&member] { return member.size(); }, [&member](size_t n) { member.resize(n); },
                            [&member](size_t i) { return fields_of(member[i]); }};
  } else {
    return FieldValue{&member};
  }
}

}  // namespace grpo::base

/// Declares the function in which a config struct lists its fields, each by `f("key", member, "what it means", range)`.
#define GRPO_FIELDS(f) void fields(::grpo::base::Fields& f)
