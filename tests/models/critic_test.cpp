#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/io/json.h"
#include "grpo/models/causal_lm.h"
#include "models/small_model.h"
#include "support/golden.h"

namespace grpo::models {
namespace {

using testing::small_model;

class Critic : public ::testing::Test {
 protected:
  std::unique_ptr<CausalLM> load(const std::string& name) const {
    return CausalLM::load(dir_.path() / name, at::kFloat, at::kCPU, {.value_head = true});
  }

  testing::TempDir dir_;
};

TEST_F(Critic, BeginsWithTheModelsWeightsAndAHeadOfZeros) {
  const auto policy = small_model();
  policy->save(dir_.path() / "policy", {});
  const auto critic = load("policy");
  EXPECT_EQ(critic->head_weight().sizes().vec(), (std::vector<int64_t>{1, policy->config().hidden_size}));
  EXPECT_TRUE(at::equal(critic->head_weight(), at::zeros_like(critic->head_weight())));
  int64_t elements = 0;
  for (const auto& [name, tensor] : critic->parameters()) elements += tensor.numel();
  EXPECT_EQ(elements, critic->config().num_parameters());
  EXPECT_TRUE(at::equal(critic->parameters().front().second, policy->parameters().front().second));
  EXPECT_EQ(critic->parameters().back().first, "score.weight");
}

TEST_F(Critic, IsSavedAsAClassifierWithOneOutputAndReadBack) {
  small_model()->save(dir_.path() / "policy", {});
  const auto critic = load("policy");
  {
    const at::NoGradGuard no_grad;
    at::Tensor(critic->head_weight()).fill_(0.25);
  }
  critic->save(dir_.path() / "critic", {});
  const auto config = io::read_json(dir_.path() / "critic" / "config.json");
  EXPECT_EQ(config.at("architectures")[0], "Qwen2ForSequenceClassification");
  EXPECT_EQ(config.at("id2label").size(), 1U);
  const auto again = load("critic");
  ASSERT_EQ(again->parameters().size(), critic->parameters().size());
  for (size_t i = 0; i < again->parameters().size(); ++i)
    EXPECT_TRUE(at::equal(again->parameters()[i].second, critic->parameters()[i].second));
}

// Its hidden states are those of the policy, so only the head differs.
TEST_F(Critic, HasThePolicysHiddenStates) {
  const auto policy = small_model();
  policy->save(dir_.path() / "policy", {});
  const auto batch = nn::PackedBatch::pack({{1, 2, 3}, {4, 5}}, at::kCPU);
  EXPECT_TRUE(at::equal(load("policy")->hidden_states(batch), policy->hidden_states(batch)));
}

}  // namespace
}  // namespace grpo::models
