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

TrainedElements trained_elements(const ModelConfig& config, const std::vector<std::string>& frozen) {
  TrainedElements elements;
  int64_t first_passed = config.num_layers;
  bool passed = false;
  for (const auto& [name, size, layer] : weight_sizes(config)) {
    const bool trained = !names_weight(frozen, name);
    const bool is_head_too = config.tied_embeddings && !passed && layer < 0;  // the embedding, which comes first
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
