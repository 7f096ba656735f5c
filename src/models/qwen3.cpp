#include <nlohmann/json.hpp>

#include "models/family.h"

namespace grpo::models {
namespace {

void read(const nlohmann::json& json, const std::string& where, ModelConfig& config) {
  refuse_sliding_window(json, where);
  config.qk_norm = true;
  config.qkv_bias = config.output_bias = value_or(json, "attention_bias", false);
  config.head_dim = value_or<int64_t>(json, "head_dim", 128);
}

void write(const ModelConfig& config, nlohmann::json& json) {
  json["use_sliding_window"] = false;
  json["attention_bias"] = config.qkv_bias;
}

}  // namespace

const Family kQwen3 = {"qwen3", "Qwen3ForCausalLM", read, write};

}  // namespace grpo::models
