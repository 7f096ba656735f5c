#include "config/describe.h"

#include <cmath>

#include "config/scalar.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/config/config.h"

namespace grpo::config {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;  // clang deduces these arguments by itself only from version 17 on

std::string bound_text(double bound) {
  std::string text = format_number(bound);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

std::string text_of(bool value) { return value ? "true" : "false"; }
std::string text_of(int64_t value) { return std::to_string(value); }
std::string text_of(double value) { return format_number(value); }
std::string text_of(const std::string& value) { return format_text(value); }

template <typename T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : "null";
}

template <typename T>
std::string text_of(const base::Auto<T>& value) {
  return value.value ? text_of(*value.value) : "auto";
}

template <typename T>
std::string text_of(const std::vector<T>& values) {
  std::vector<std::string> parts;
  for (const auto& value : values) parts.push_back(text_of(value));
  return "[" + base::join(parts, ", ") + "]";
}

std::string text_of(const base::TextOrMap& value) {
  if (!value.is_map()) return format_text(value.text);
  std::vector<std::string> parts;
  for (const auto& [key, text] : value.map) parts.push_back(format_text(key) + ": " + format_text(text));
  return "{" + base::join(parts, ", ") + "}";
}

}  // namespace

std::string range_text(const base::Range& range) {
  const bool has_min = std::isfinite(range.min);
  const bool has_max = std::isfinite(range.max);
  if (has_min && has_max) {
    return base::concat("in ", range.open_min ? "(" : "[", bound_text(range.min), ", ", bound_text(range.max), "]");
  }
  if (has_min) return (range.open_min ? "> " : ">= ") + bound_text(range.min);
  if (has_max) return "<= " + bound_text(range.max);
  return "";
}

std::string type_name(const base::FieldValue& value) {
  return std::visit(
      Overloaded{
          [](bool*) { return "boolean"; }, [](int64_t*) { return "integer"; }, [](double*) { return "number"; },
          [](std::string*) { return "text"; }, [](std::optional<int64_t>*) { return "integer or null"; },
          [](std::optional<double>*) { return "number or null"; },
          [](base::Auto<int64_t>*) { return "integer or auto"; }, [](base::Auto<double>*) { return "number or auto"; },
          [](std::vector<std::string>*) { return "list of texts"; },
          [](std::vector<int64_t>*) { return "list of integers"; },
          [](std::vector<double>*) { return "list of numbers"; }, [](base::TextOrMap*) { return "text or mapping"; },
          [](const base::EnumField&) { return "choice"; }, [](const base::SectionField&) { return "section"; },
          [](const base::SectionListField&) { return "list of sections"; }},
      value);
}

std::string allowed_text(const base::Field& field) {
  if (std::holds_alternative<bool*>(field.value)) return "true, false";
  if (const auto* choice = std::get_if<base::EnumField>(&field.value)) return base::join(choice->names, ", ");
  return range_text(field.range);
}

bool is_leaf(const base::FieldValue& value) {
  return !std::holds_alternative<base::SectionField>(value) && !std::holds_alternative<base::SectionListField>(value);
}

std::string flow_text(const base::FieldValue& value) {
  return std::visit(
      Overloaded{
          [](const base::EnumField& choice) { return format_text(choice.names.at(choice.get())); },
          [](const base::SectionField&) -> std::string { GRPO_CHECK(false, "a section is no leaf"); },
          [](const base::SectionListField&) -> std::string { GRPO_CHECK(false, "a list of sections is no leaf"); },
          [](const auto* leaf) { return text_of(*leaf); }},
      value);
}

std::string kind_text(const base::Field& field) {
  const auto* choice = std::get_if<base::EnumField>(&field.value);
  return choice ? base::join(choice->names, "|") : type_name(field.value);
}

std::string value_text(const base::Field& field) { return flow_text(field.value); }

std::string joined_key(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace grpo::config
