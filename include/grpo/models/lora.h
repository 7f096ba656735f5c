#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/models/model_config.h"

namespace grpo::models {

/// Low-rank adapters (LoRA, arXiv 2106.09685) in place of the weights: a linear layer's W counts as
/// W + alpha / rank B A, and A [rank, in] and B [out, rank] alone are trained.
struct LoraConfig {
  int64_t rank = 0;
  double alpha = 16.0;
  double dropout = 0.0;
  std::vector<std::string> targets = {"all-linear"};
  GRPO_FIELDS(f) {
    f("rank", rank, "rows of A and columns of B; 0: no adapters, the weights themselves are trained",
      base::at_least(0));
    f("alpha", alpha, "what the adapters add is multiplied by alpha / rank", base::above(0));
    f("dropout", dropout, "share of an adapter's inputs that a training pass leaves out; sampling leaves nothing out",
      base::between(0, 0.99));
    f("targets", targets,
      "linear layers that get an adapter: q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, or "
      "all-linear");
  }
};

/// Throws base::ConfigError for a target that is no linear layer of a decoder's layers.
void validate(const LoraConfig& config);

/// Elements of the adapters of all layers.
double adapter_elements(const ModelConfig& model, const LoraConfig& config);

/// Whether a folder holds adapters as peft saves them (adapter_config.json) in place of a model.
bool is_adapter_folder(const std::filesystem::path& folder);

/// The folder with config.json, weights and tokenizer: that of the base model for a folder of adapters, which names it
/// (base_model_name_or_path, from the current directory or else from the adapters' folder), and else `folder` itself.
/// Throws base::ConfigError where the base model is not there.
std::filesystem::path base_folder(const std::filesystem::path& folder);

}  // namespace grpo::models
