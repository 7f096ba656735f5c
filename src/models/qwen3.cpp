#include <nlohmann/json.hpp>

#include "models/family.h"

namespace grpo::models {
namespace {

void read_qwen3(const nlohmann::json& json, const std::string& where, ModelConfig& config) {
  refuse_sliding_window(json, where);
  config.qk_norm = true;
  config.qkv_bias = config.output_bias = value_or(json, "attention_bias", false);
  config.head_dim = value_or<int64_t>(json, "head_dim", 128);
}

void write_qwen3(const ModelConfig& config, nlohmann::json& json) {
  json["use_sliding_window"] = false;
  json["attention_bias"] = config.qkv_bias;
}

}  // namespace

const Family kQwen3 = {"qwen3", "Qwen3ForCausalLM", read_qwen3, write_qwen3};

}  // namespace grpo::models
