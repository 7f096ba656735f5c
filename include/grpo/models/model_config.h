#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace grpo::models {

/// Rotary frequencies, and how they are scaled to longer contexts.
struct RopeConfig {
  enum class Scaling { kNone, kLinear, kLlama3, kYarn };
  double theta = 10000.0;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;                            // llama3
  double high_freq_factor = 4.0;                           // llama3
  int64_t original_max_positions = 0;                      // llama3, yarn
  double beta_fast = 32.0;                                 // yarn
  double beta_slow = 1.0;                                  // yarn
  std::optional<double> attention_factor = {};             // yarn; 0.1 ln(factor) + 1 if absent
  std::optional<double> mscale = {}, mscale_all_dim = {};  // yarn
  bool truncate = true;                                    // yarn: round the correction range to whole dimensions
};

/// The shape of a decoder-only transformer, read from config.json according to its family.
struct ModelConfig {
  std::string model_type;  // "qwen2", "qwen3", "llama"
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;  // max_position_embeddings
  double norm_eps = 1e-6;
  double initializer_range = 0.02;
  bool tied_embeddings = false;
  bool value_head = false;  // a critic: its head has a single output, "score.weight", not the vocabulary
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;
  bool qk_norm = false;
  RopeConfig rope;
  std::vector<int64_t> eos_ids;
  std::optional<int64_t> bos_id;

  int64_t num_parameters() const;
};

/// Values that a run sets instead of the model's own; a saved model has them too.
struct ConfigOverrides {
  std::optional<int64_t> max_positions = {};
  std::optional<double> rope_theta = {};
  bool value_head = false;  // a critic that begins with this model's weights; its head is 0 if the files have none
};

/// Reads config.json (spelled as in transformers 4 or 5). Throws base::ConfigError for an architecture that
/// is not in the registry (naming the known ones) and for a feature that is not supported (a sliding window
/// in use, other activations, ...).
ModelConfig read_model_config(const std::filesystem::path& folder, const ConfigOverrides& overrides = {});

/// The config.json of a model that was not read from a folder, spelled as in transformers 4.
nlohmann::json to_json(const ModelConfig& config, const std::string& torch_dtype);

/// The stop ids of a model folder: all eos_token_id of generation_config.json and of config.json.
std::vector<int64_t> stop_ids(const std::filesystem::path& folder);

}  // namespace grpo::models
