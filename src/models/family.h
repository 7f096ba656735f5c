#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "grpo/models/model_config.h"

namespace grpo::models {

/// A family of published models: how its config.json differs from the common fields.
struct Family {
  std::string model_type;
  std::string architecture;  // as config.json's "architectures" names it
  /// Sets biases, norms and defaults of the family. `where` names the file for errors.
  void (*read)(const nlohmann::json& json, const std::string& where, ModelConfig& config);
  /// Adds the keys that only this family's config.json has.
  void (*write)(const ModelConfig& config, nlohmann::json& json);
};

/// The only table of families; it is in registry.cpp.
const std::vector<Family>& families();

// Each of these is defined in the source of its family.
extern const Family kQwen2;
extern const Family kQwen3;
extern const Family kLlama;

/// A value of config.json, or `fallback` when it is absent or null.
template <typename T>
T value_or(const nlohmann::json& json, const char* key, T fallback) {
  return json.contains(key) && !json.at(key).is_null() ? json.at(key).get<T>() : fallback;
}

/// Throws base::ConfigError if a layer uses sliding-window attention.
void refuse_sliding_window(const nlohmann::json& json, const std::string& where);

}  // namespace grpo::models
