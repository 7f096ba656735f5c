#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/models/lora.h"
#include "grpo/models/model_config.h"

namespace grpo::models {

/// Whether a pattern names the weight. It does when it stands in the weight's name at the beginning of a part between
/// dots and does not end inside a number: "embed" names model.embed_tokens.weight, "layers.1" names layer 1 but not
/// layer 10, and "k_proj.bias" the biases of all keys.
bool names_weight(std::string_view pattern, std::string_view weight);
bool names_weight(const std::vector<std::string>& patterns, std::string_view weight);

/// What an update trains when these patterns freeze the rest, or when adapters are trained in place of the weights, in
/// elements.
struct TrainedElements {
  double all = 0.0;
  double outside_layers = 0.0;  // of them: embedding, final norm, head
  double passed = 0.0;          // trained or not: of the first trained weight and all behind it, which gradients pass
  int64_t layers_passed = 0;
  bool head = false;  // whether the head's matrix takes a gradient
};
TrainedElements trained_elements(const ModelConfig& config, const std::vector<std::string>& frozen,
                                 const LoraConfig& lora = {});

}  // namespace grpo::models
