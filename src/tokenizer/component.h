#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "grpo/base/error.h"
#include "tokenizer/regex.h"

namespace grpo::tokenizer {

/// The "type" of a component of tokenizer.json.
inline std::string component_type(const nlohmann::json& component) { return component.at("type").get<std::string>(); }

[[noreturn]] inline void unsupported_component(const char* kind, const std::string& type) {
  throw base::IoError(base::concat(kind, " of type ", type, " is not supported"));
}

inline bool bool_or(const nlohmann::json& object, const char* key, bool fallback) {
  const auto entry = object.find(key);
  return entry == object.end() || entry->is_null() ? fallback : entry->get<bool>();
}

/// {"String": "..."} or {"Regex": "..."}.
inline Regex pattern_from_json(const nlohmann::json& pattern) {
  if (pattern.contains("Regex")) return Regex(pattern.at("Regex").get<std::string>());
  return Regex(escape_regex(pattern.at("String").get<std::string>()));
}

}  // namespace grpo::tokenizer
