#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/models/lora.h"
#include "grpo/models/model_config.h"

namespace grpo::models {

/// Whether a pattern names a weight. The pattern must occur in the weight's name, begin at a part between dots and not
/// end inside a number. Examples: "embed" names model.embed_tokens.weight, "layers.1" names layer 1 but not layer 10,
/// and "k_proj.bias" names the biases of all keys.
bool names_weight(std::string_view pattern, std::string_view weight);
bool names_weight(const std::vector<std::string>& patterns, std::string_view weight);

/// How much an update trains, in elements, if these patterns freeze the other weights, or if adapters are
/// trained instead of the weights.
struct TrainedElements {
  double all = 0.0;
  double outside_layers = 0.0;  // part of `all`: embedding, final norm, head
  double passed = 0.0;          // weights from the first trained one on, trained or not: gradients pass all of these
  int64_t layers_passed = 0;
  bool head = false;  // whether the head's matrix takes a gradient
};
TrainedElements trained_elements(const ModelConfig& config, const std::vector<std::string>& frozen,
                                 const LoraConfig& lora = {});

}  // namespace grpo::models
