#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace grpo::models {

/// Rotary frequencies and how they are stretched to longer contexts.
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
  std::optional<double> attention_factor = {};             // yarn; default 0.1 ln(factor) + 1
  std::optional<double> mscale = {}, mscale_all_dim = {};  // yarn
  bool truncate = true;                                    // yarn: round the correction range to whole dimensions
};

/// The shape of a decoder-only transformer, as its family reads it from config.json.
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
  bool value_head = false;  // a critic: in place of the vocabulary's head one of a single output, "score.weight"
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention output projection
  bool mlp_bias = false;
  bool qk_norm = false;
  RopeConfig rope;
  std::vector<int64_t> eos_ids;
  std::optional<int64_t> bos_id;

  int64_t num_parameters() const;
};

/// Values that a run sets in place of the model's own; a model that is saved has them too.
struct ConfigOverrides {
  std::optional<int64_t> max_positions = {};
  std::optional<double> rope_theta = {};
  bool value_head = false;  // begin a critic with the model's weights; its head is zeros where the files have none
};

/// Reads config.json (transformers 4 and 5 spellings). Throws base::ConfigError for an architecture that is not in the
/// registry (naming the known ones) or a feature that is not supported (sliding window in use, other activations, ...).
ModelConfig read_model_config(const std::filesystem::path& folder, const ConfigOverrides& overrides = {});

/// The config.json of a model made here, in the transformers 4 spelling.
nlohmann::json to_json(const ModelConfig& config, const std::string& torch_dtype);

/// The stop ids of a model folder: eos_token_id of generation_config.json and of config.json.
std::vector<int64_t> stop_ids(const std::filesystem::path& folder);

}  // namespace grpo::models
