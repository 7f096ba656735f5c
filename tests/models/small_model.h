#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "grpo/models/causal_lm.h"

namespace grpo::testing {

/// A config.json that is valid for `model_type`, to be changed by a test.
nlohmann::json small_config_json(const std::string& model_type = "qwen2");

void write_config(const std::filesystem::path& folder, const nlohmann::json& config);
models::ModelConfig read_config(const nlohmann::json& config);

/// Random weights for small_config_json.
std::unique_ptr<models::CausalLM> small_model(const nlohmann::json& config = small_config_json(), uint64_t seed = 1,
                                              at::ScalarType dtype = at::kFloat);

}  // namespace grpo::testing
