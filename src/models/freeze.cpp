#include "grpo/models/freeze.h"

#include <algorithm>
#include <cctype>

#include "models/decoder_weights.h"

namespace grpo::models {
namespace {

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

}  // namespace

bool names_weight(std::string_view pattern, std::string_view weight) {
  if (pattern.empty()) return false;
  for (size_t at = weight.find(pattern); at != std::string_view::npos; at = weight.find(pattern, at + 1)) {
    const size_t end = at + pattern.size();
    const bool begins_part = at == 0 || weight[at - 1] == '.';
    const bool ends_in_number = end < weight.size() && is_digit(weight[end - 1]) && is_digit(weight[end]);
    if (begins_part && !ends_in_number) return true;
  }
  return false;
}

bool names_weight(const std::vector<std::string>& patterns, std::string_view weight) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&](const auto& pattern) { return names_weight(pattern, weight); });
}

namespace {

// Gradients pass all weights but the embedding (unless it is the head too) and end in the adapters.
TrainedElements of_adapters(const ModelConfig& config, const LoraConfig& lora) {
  const int64_t embedding = config.tied_embeddings ? 0 : config.vocab_size * config.hidden_size;
  return {.all = adapter_elements(config, lora),
          .passed = static_cast<double>(config.num_parameters() - embedding),
          .layers_passed = config.num_layers};
}

}  // namespace

TrainedElements trained_elements(const ModelConfig& config, const std::vector<std::string>& frozen,
                                 const LoraConfig& lora) {
  if (lora.rank > 0) return of_adapters(config, lora);
  TrainedElements elements;
  elements.head = !names_weight(frozen, config.tied_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  int64_t first_passed = config.num_layers;
  bool passed = false;
  for (const auto& [name, size, layer, shape] : weight_sizes(config)) {
    const bool trained = !names_weight(frozen, name);
    const bool is_head_too = config.tied_embeddings && !passed && layer < 0;  // the embedding, which is visited first
    passed = passed || trained;
    if (trained) elements.all += size;
    if (trained && layer < 0) elements.outside_layers += size;
    if (passed || is_head_too) elements.passed += size;
    if (passed && layer >= 0) first_passed = std::min(first_passed, layer);
  }
  elements.layers_passed = config.num_layers - first_passed;
  return elements;
}

}  // namespace grpo::models
