#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/models/model_config.h"

namespace grpo::models {

/// Low-rank adapters (LoRA, arXiv 2106.09685): a linear layer computes as if its weight were W + alpha / rank B A, and
/// only A [rank, in] and B [out, rank] are trained.
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

/// Throws base::ConfigError for a target that is not a linear layer of a decoder layer.
void validate(const LoraConfig& config);

/// Number of elements of the adapters of all layers.
double adapter_elements(const ModelConfig& model, const LoraConfig& config);

/// Whether a folder holds adapters that peft saved (it has adapter_config.json) and not a model.
bool is_adapter_folder(const std::filesystem::path& folder);

/// The folder with config.json, weights and tokenizer. For adapters it is that of their base model, maybe the same one,
/// which adapter_config.json names (base_model_name_or_path, from the current directory or the adapters' folder); any
/// other folder is itself. Throws base::ConfigError if the base model is not there, or has other adapters beside it.
std::filesystem::path base_folder(const std::filesystem::path& folder);

}  // namespace grpo::models
