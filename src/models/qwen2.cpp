#include <nlohmann/json.hpp>

#include "models/family.h"

namespace grpo::models {
namespace {

void read(const nlohmann::json& json, const std::string& where, ModelConfig& config) {
  refuse_sliding_window(json, where);
  config.qkv_bias = true;
}

void write(const ModelConfig& config, nlohmann::json& json) {
  json["use_sliding_window"] = false;
  json["max_window_layers"] = config.num_layers;
}

}  // namespace

const Family kQwen2 = {"qwen2", "Qwen2ForCausalLM", read, write};

}  // namespace grpo::models
