#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::data {

/// What a row must be like: a key, an operator (=, !=, <, <=, >, >=) and what the key's value is compared with.
struct Condition {
  std::string text;  // as written
  std::string key;   // dots enter nested objects
  std::string op;
  std::vector<std::string> values;  // of = and != several: "source = aime | amc"
};

/// Throws base::ConfigError for a text that is no condition.
Condition parse_condition(const std::string& text);

/// Whether a row meets the condition. Values are compared as numbers where both are numbers, else as texts; null is a
/// text of that name, and a row without the key has null there. Of a list = asks for one element, != for none. The
/// order of null and anything is false. Throws base::IoError where an order is asked of a text that is no number.
bool meets(const nlohmann::json& row, const Condition& condition);

/// The value of a dotted key, or nullptr. A key that itself contains dots wins over nesting.
const nlohmann::json* find_value(const nlohmann::json& object, const std::string& key);

}  // namespace grpo::data
