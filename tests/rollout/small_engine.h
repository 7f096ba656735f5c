#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "grpo/base/random.h"
#include "grpo/models/causal_lm.h"
#include "grpo/rollout/engine.h"

namespace grpo::testing {

inline constexpr int64_t kVocabulary = 40;

inline std::unique_ptr<models::CausalLM> small_model(at::ScalarType dtype = at::kFloat, at::Device device = at::kCPU) {
  models::ModelConfig config;
  config.model_type = "qwen2";
  config.vocab_size = kVocabulary;
  config.hidden_size = 32;
  config.intermediate_size = 48;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 8;
  config.max_positions = 128;
  config.qkv_bias = true;
  config.initializer_range = 0.2;  // sharp enough that completions end at different lengths
  return models::CausalLM::init(config, 4, dtype, device);
}

inline std::vector<rollout::Request> requests_of(const std::vector<size_t>& lengths, int64_t samples) {
  std::vector<rollout::Request> requests;
  for (size_t i = 0; i < lengths.size(); ++i) {
    rollout::Request request{.prompt_ids = {}, .draw = 100 + i, .first_sample = 0, .num_samples = samples};
    for (size_t t = 0; t < lengths[i]; ++t)
      request.prompt_ids.push_back(static_cast<int64_t>((7 * t + 3 * i) % kVocabulary));
    requests.push_back(request);
  }
  return requests;
}

inline const rollout::GenerationOptions kGeneration{.max_new_tokens = 24, .stop_ids = {5, 6}};
inline const base::RandomKey kKey{9, base::stream_id("test")};

inline void expect_equal(const std::vector<rollout::Group>& a, const std::vector<rollout::Group>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].completions.size(), b[i].completions.size());
    for (size_t j = 0; j < a[i].completions.size(); ++j) {
      EXPECT_EQ(a[i].completions[j].ids, b[i].completions[j].ids) << i << ", " << j;
      EXPECT_EQ(a[i].completions[j].log_probs, b[i].completions[j].log_probs) << i << ", " << j;
      EXPECT_EQ(a[i].completions[j].finish_reason, b[i].completions[j].finish_reason);
    }
  }
}

}  // namespace grpo::testing
