#include "data/condition.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::data {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 6> kOperators = {"=", "!=", "<", "<=", ">", ">="};

[[noreturn]] void fail(const std::string& text) {
  throw base::ConfigError("data.train: where: " + text +
                          ": expected KEY, one of = != < <= > >=, and a value, as level >= 3 or source = aime | amc");
}

std::vector<std::string> alternatives(std::string_view text) {
  std::vector<std::string> parts;
  for (size_t bar = text.find('|'); bar != std::string_view::npos; bar = text.find('|')) {
    parts.emplace_back(base::trimmed(text.substr(0, bar)));
    text.remove_prefix(bar + 1);
  }
  parts.emplace_back(base::trimmed(text));
  return parts;
}

template <typename Number = double>
std::optional<Number> number_in(const std::string& text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::string text_of(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

bool is_equal(const json& value, const std::string& wanted) {
  const std::string text = text_of(value);
  if (text == wanted) return true;
  // Neighbouring long ids are one and the same number as doubles.
  const auto whole = number_in<int64_t>(text), wanted_whole = number_in<int64_t>(wanted);
  if (whole && wanted_whole) return *whole == *wanted_whole;
  const auto a = number_in(text), b = number_in(wanted);
  return a && b && *a == *b;
}

bool is_one_of(const json& value, const std::vector<std::string>& wanted) {
  if (value.is_array())
    return std::any_of(value.begin(), value.end(), [&](const json& element) { return is_one_of(element, wanted); });
  return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& text) { return is_equal(value, text); });
}

bool is_in_order(double value, const std::string& op, double bound) {
  if (op == "<") return value < bound;
  if (op == "<=") return value <= bound;
  return op == ">" ? value > bound : value >= bound;
}

}  // namespace

Condition parse_condition(const std::string& text) {
  const size_t begin = text.find_first_of("=!<>");
  if (begin == std::string::npos) fail(text);
  const size_t end = std::min(text.find_first_not_of("=!<>", begin), text.size());
  Condition condition{.text = text,
                      .key = std::string(base::trimmed(std::string_view(text).substr(0, begin))),
                      .op = text.substr(begin, end - begin),
                      .values = {}};
  if (condition.op == "==") condition.op = "=";
  const bool is_known = std::find(kOperators.begin(), kOperators.end(), condition.op) != kOperators.end();
  const bool compares = condition.op == "=" || condition.op == "!=";
  const std::string value(base::trimmed(std::string_view(text).substr(end)));
  condition.values = compares ? alternatives(value) : std::vector<std::string>{value};
  if (!is_known || condition.key.empty() || value.empty() || (!compares && !number_in(value))) fail(text);
  return condition;
}

bool meets(const json& row, const Condition& condition) {
  static const json kNull;
  const json* found = find_value(row, condition.key);
  const json& value = found ? *found : kNull;
  if (condition.op == "=") return is_one_of(value, condition.values);
  if (condition.op == "!=") return !is_one_of(value, condition.values);
  if (value.is_null()) return false;
  const auto number = number_in(text_of(value));
  if (!number)
    throw base::IoError(
        base::concat(condition.key, " is ", value.dump(), ", and ", condition.text, " asks for a number"));
  return is_in_order(*number, condition.op, *number_in(condition.values.front()));
}

const json* find_value(const json& object, const std::string& key) {
  if (!object.is_object()) return nullptr;
  if (const auto found = object.find(key); found != object.end()) return &*found;
  const size_t dot = key.find('.');
  const auto found = dot == std::string::npos ? object.end() : object.find(key.substr(0, dot));
  return found == object.end() ? nullptr : find_value(*found, key.substr(dot + 1));
}

}  // namespace grpo::data
