#include <nlohmann/json.hpp>

#include "models/family.h"

namespace grpo::models {
namespace {

void read(const nlohmann::json& json, const std::string&, ModelConfig& config) {
  config.qkv_bias = config.output_bias = value_or(json, "attention_bias", false);
  config.mlp_bias = value_or(json, "mlp_bias", false);
}

void write(const ModelConfig& config, nlohmann::json& json) {
  json["attention_bias"] = config.qkv_bias;
  json["mlp_bias"] = config.mlp_bias;
}

}  // namespace

const Family kLlama = {"llama", "LlamaForCausalLM", read, write};

}  // namespace grpo::models
