#include <nlohmann/json.hpp>

#include "models/family.h"

namespace grpo::models {
namespace {

void read_qwen2(const nlohmann::json& json, const std::string& where, ModelConfig& config) {
  refuse_sliding_window(json, where);
  config.qkv_bias = true;
}

void write_qwen2(const ModelConfig& config, nlohmann::json& json) {
  json["use_sliding_window"] = false;
  json["max_window_layers"] = config.num_layers;
}

}  // namespace

const Family kQwen2 = {"qwen2", "Qwen2ForCausalLM", read_qwen2, write_qwen2};

}  // namespace grpo::models
