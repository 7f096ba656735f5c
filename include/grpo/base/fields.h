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

/// A value that may be left to the program; written `auto` in files.
template <typename T>
struct Auto {
  std::optional<T> value;
  bool operator==(const Auto&) const = default;
};

/// A name, or a mapping of names to texts (a built-in chat template, or one spelled out).
struct TextOrMap {
  std::string text;
  std::map<std::string, std::string> map;
  bool is_map() const { return !map.empty(); }
  bool operator==(const TextOrMap&) const = default;
};

/// Inclusive bounds of a number; `open_min` excludes the lower one.
struct Range {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
  bool open_min = false;
};
inline Range at_least(double min) { return {min}; }
inline Range above(double min) { return {.min = min, .open_min = true}; }
inline Range between(double min, double max) { return {min, max}; }

class Fields;

/// An enum seen as one of several names. Names are in the order of the enumerators, which count from 0.
struct EnumField {
  std::vector<std::string> names;
  std::function<size_t()> get;
  std::function<void(size_t)> set;
};
/// A nested section.
struct SectionField {
  std::function<Fields()> fields;  // of the live struct
};
/// A list of sections (`reward.terms`).
struct SectionListField {
  std::function<size_t()> size;
  std::function<void(size_t)> resize;
  std::function<Fields(size_t)> fields;  // of element i
};

using FieldValue = std::variant<bool*, int64_t*, double*, std::string*, std::optional<int64_t>*, std::optional<double>*,
                                Auto<int64_t>*, Auto<double>*, std::vector<std::string>*, std::vector<int64_t>*,
                                std::vector<double>*, TextOrMap*, EnumField, SectionField, SectionListField>;

/// One key of a configuration: its name, its value in a live struct, what it means and what it may be.
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

/// The keys of one config struct, in order. A struct lists them once, in GRPO_FIELDS(f); parsing, printing, help,
/// validation and docs/config.md all read this list.
class Fields {
 public:
  template <typename T>
  void operator()(std::string name, T& member, std::string doc, Range range = {}) {
    fields_.push_back({std::move(name), make_value(member), std::move(doc), range});
  }
  const std::vector<Field>& list() const& { return fields_; }
  /// Of a temporary, as in `for (const auto& field : fields_of(config).list())`: a list of its own, which lives on.
  std::vector<Field> list() && { return std::move(fields_); }

  /// A list, or one text, that stands where these keys are expected is read as this one of them: the short spelling of
  /// a section, or how it was spelled before it had other keys.
  void read_list_as(std::string name) { list_name_ = std::move(name); }
  const std::string& list_name() const { return list_name_; }

  /// The key of this name: a struct that takes over another's keys may give one of them other bounds or words.
  /// Throws std::out_of_range when there is none.
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

/// An enum needs `std::vector<std::string> enum_names(E)` beside it, found by argument-dependent lookup.
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

/// Declares a config struct's field list; inside, `f("key", member, "what it means", range)`.
#define GRPO_FIELDS(f) void fields(::grpo::base::Fields& f)
