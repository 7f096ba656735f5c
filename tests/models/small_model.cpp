#include "models/small_model.h"

#include <nlohmann/json.hpp>

#include "grpo/io/json.h"
#include "support/golden.h"

namespace grpo::testing {

nlohmann::json small_config_json(const std::string& model_type) {
  return {{"model_type", model_type},
          {"vocab_size", 61},
          {"hidden_size", 32},
          {"intermediate_size", 40},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-6},
          {"head_dim", 8},
          {"rope_theta", 10000.0},
          {"tie_word_embeddings", true},
          {"initializer_range", 0.125},
          {"torch_dtype", "float32"}};
}

void write_config(const std::filesystem::path& folder, const nlohmann::json& config) {
  io::write_json(folder / "config.json", config);
}

models::ModelConfig read_config(const nlohmann::json& config) {
  const TempDir dir;
  write_config(dir.path(), config);
  return models::read_model_config(dir.path());
}

std::unique_ptr<models::CausalLM> small_model(const nlohmann::json& config, uint64_t seed, at::ScalarType dtype) {
  return models::CausalLM::init(read_config(config), seed, dtype, at::kCPU);
}

}  // namespace grpo::testing
