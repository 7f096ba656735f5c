#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::data {

/// What a row must be like: the value of a key compared, by an operator (=, !=, <, <=, >, >=), with a wanted value.
struct Condition {
  std::string text;  // as written
  std::string key;   // dots lead into nested objects
  std::string op;
  std::vector<std::string> values;  // one; for = and != also several: "source = aime | amc"
};

/// Throws base::ConfigError for a text that is not a condition.
Condition parse_condition(const std::string& text);

/// Whether a row meets the condition. Two numbers are compared as numbers, other values as texts. A row without the key
/// counts as if the key were null, and null equals the text "null". If the value is a list, = is met when one of its
/// elements equals a wanted value, and != when none does. <, <=, > and >= are not met by null. They throw base::IoError
/// for any other value that is not a number.
bool meets(const nlohmann::json& row, const Condition& condition);

/// The value of a dotted key, or nullptr if there is none. A key whose own name contains the
/// dots goes before nested objects.
const nlohmann::json* find_value(const nlohmann::json& object, const std::string& key);

}  // namespace grpo::data
