#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "grpo/base/error.h"
#include "models/cached_pass.h"
#include "models/golden_model.h"
#include "models/small_model.h"
#include "support/message_of.h"

namespace grpo::models {
namespace {

using testing::cached_logits;
using ::testing::HasSubstr;
using testing::max_distance;
using testing::small_config_json;
using testing::small_model;

std::vector<int64_t> some_ids(int64_t length, int64_t first) {
  std::vector<int64_t> ids;
  for (int64_t t = 0; t < length; ++t) ids.push_back((first + 7 * t) % 61);
  return ids;
}

at::Tensor packed_logits(const CausalLM& model, const std::vector<std::vector<int64_t>>& sequences) {
  const at::NoGradGuard no_grad;
  return at::linear(model.hidden_states(nn::PackedBatch::pack(sequences)), model.head_weight());
}

TEST(Sampling, EqualsTrainingInBf16) {
  const auto model = small_model(small_config_json("qwen3"), 1, at::kBFloat16);
  const std::vector<std::vector<int64_t>> sequences = {some_ids(23, 1), some_ids(9, 2)};
  const auto packed = packed_logits(*model, sequences).to(at::kFloat);
  const auto cached = cached_logits(*model, sequences, 4, false).to(at::kFloat);
  // A few roundings of 2^-9 each over two layers.
  EXPECT_LT(max_distance(packed, cached), 3e-2 * packed.abs().max().item<double>());
}

TEST(Sampling, SeesWeightsThatChanged) {
  const auto model = small_model();
  const std::vector<std::vector<int64_t>> sequences = {some_ids(12, 3)};
  const auto before = cached_logits(*model, sequences, 5, false);
  {
    const at::NoGradGuard no_grad;
    for (const auto& [name, tensor] : model->parameters()) at::Tensor(tensor).mul_(1.25);
  }
  model->release_sampling_weights();
  EXPECT_GT(max_distance(before, cached_logits(*model, sequences, 5, false)), 0.1);
  for (const bool exact : {false, true}) {
    EXPECT_LT(max_distance(packed_logits(*model, sequences), cached_logits(*model, sequences, 5, exact)), 1e-4)
        << exact;
  }
}

TEST(Sampling, ContinuesBeyondTheModelsPositions) {
  auto config = small_config_json();
  config["max_position_embeddings"] = 16;
  const auto model = small_model(config);
  const std::vector<std::vector<int64_t>> sequences = {some_ids(700, 3)};
  EXPECT_LT(max_distance(packed_logits(*model, sequences), cached_logits(*model, sequences, 300, false)), 1e-4);
}

TEST(Sampling, InExactModeNeedsFp32) {
  const auto model = small_model(small_config_json(), 1, at::kBFloat16);
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { cached_logits(*model, {some_ids(3, 1)}, 3, true); }),
              HasSubstr("rollout.exact"));
}

TEST(Sampling, KeepsNoGraph) {
  const auto model = small_model();
  EXPECT_FALSE(cached_logits(*model, {some_ids(3, 1)}, 3, false).requires_grad());
  EXPECT_TRUE(model->hidden_states(nn::PackedBatch::pack({some_ids(3, 1)})).requires_grad());
}

TEST(Sampling, WorksFromSeveralThreads) {
  const auto model = small_model();
  const auto expected = cached_logits(*model, {some_ids(40, 5)}, 7, true);
  std::vector<at::Tensor> results(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&, i] {
      cached_logits(*model, {some_ids(300 + 200 * static_cast<int64_t>(i), 5)}, 100,
                    true);  // the rotary tables grow meanwhile
      results[i] = cached_logits(*model, {some_ids(40, 5)}, 7, true);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_TRUE(at::equal(result, expected));
}

}  // namespace
}  // namespace grpo::models
