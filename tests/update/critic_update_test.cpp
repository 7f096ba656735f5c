// Updates of a critic: what it learns, and that neither the split nor the number of ranks changes that.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "support/golden.h"
#include "support/thread_ranks.h"
#include "update/learner_fixture.h"

namespace grpo::update {
namespace {

constexpr int64_t kAll = 1 << 20;

std::filesystem::path model() { return testing::golden_section("step") / "model"; }

Objective values(std::optional<double> clip = {}) { return {.value = Objective::Value{.clip = clip}}; }

// A batch with old values, and with returns that differ from target to target.
Batch batch_of_returns() {
  auto batch = uneven_batch(256);
  double next = 0.0;
  for (auto& sequence : batch.sequences) {
    for (size_t t = 0; t < sequence.sampler_log_probs.size(); ++t) {
      sequence.returns.push_back(static_cast<float>(std::sin(next += 1.0)));
      sequence.old_values.push_back(0.0f);
    }
  }
  return batch;
}

// Sets the head, which begins as zeros, to other numbers, because with zeros the trunk would have no gradient.
void set_head(models::CausalLM& critic) {
  const at::NoGradGuard no_grad;
  auto head = at::Tensor(critic.head_weight());
  for (int64_t i = 0; i < head.numel(); ++i) head[0][i] = 0.3 * std::cos(static_cast<double>(i));
}

// The hidden states that predict a sequence's targets, [m, D].
at::Tensor hidden_of_targets(const models::CausalLM& critic, const Sequence& sequence) {
  const auto hidden = critic.hidden_states(nn::PackedBatch::pack({sequence.ids}));
  std::vector<int64_t> rows;
  for (size_t t = 1; t < sequence.ids.size(); ++t) {
    if (sequence.targets[t] != 0) rows.push_back(static_cast<int64_t>(t) - 1);
  }
  return hidden.index_select(0, at::tensor(rows));
}

TEST(UpdateOfACritic, ValuesAreTheHeadsProductsBeforeEachTarget) {
  LearnerFixture fixture(model(), values(), {}, 25);
  set_head(fixture.model());
  auto sequences = batch_of_returns().sequences;
  set_values(fixture.learner(), fixture.watch(), sequences);
  const at::NoGradGuard no_grad;
  for (const auto& sequence : sequences) {
    const auto expected = hidden_of_targets(fixture.model(), sequence).matmul(fixture.model().head_weight()[0]);
    ASSERT_EQ(static_cast<int64_t>(sequence.old_values.size()), expected.numel());
    for (int64_t t = 0; t < expected.numel(); ++t)
      EXPECT_NEAR(sequence.old_values[static_cast<size_t>(t)], expected[t].item<float>(), 1e-5);
  }
}

// The loss is the mean of (V - R)^2 / 2, whose gradient by the head is the mean of (V - R) times the hidden state.
TEST(UpdateOfACritic, LossAndGradientAreThoseOfTheMeanSquaredError) {
  LearnerFixture fixture(model(), values(), {}, 40);
  set_head(fixture.model());
  const auto batch = batch_of_returns();
  const auto stats = fixture.accumulate(batch);
  double loss = 0.0;
  at::Tensor by_head;
  {
    const at::NoGradGuard no_grad;
    for (const auto& sequence : batch.sequences) {
      const auto hidden = hidden_of_targets(fixture.model(), sequence).to(at::kDouble);
      const auto error = hidden.matmul(fixture.model().head_weight()[0].to(at::kDouble)) - at::tensor(sequence.returns);
      loss += batch.scale * 0.5 * error.pow(2).sum().item<double>();
      const auto own = batch.scale * error.matmul(hidden);
      by_head = by_head.defined() ? by_head + own : own;
    }
  }
  EXPECT_NEAR(stats.figure("loss"), loss, 1e-6);
  EXPECT_NEAR(stats.figure("value/loss"), loss, 1e-6);  // the scale is one over all targets
  const auto gradients = fixture.take_gradients();
  EXPECT_EQ(gradients.back().first, "score.weight");
  EXPECT_LT((gradients.back().second[0] - by_head).abs().max().item<double>(), 1e-5);
  EXPECT_GT(gradients.front().second.abs().max().item<double>(), 0.0);  // the trunk learns too
}

TEST(UpdateOfACritic, LearnsTheReturns) {
  optim::OptimizerConfig optimizer;
  optimizer.lr = 1e-2;
  optimizer.warmup_updates = 0;
  LearnerFixture fixture(model(), values(0.2), optimizer, kAll);
  auto batch = batch_of_returns();
  const double first = fixture.update(batch).figure("value/loss");
  for (int i = 0; i < 20; ++i) {
    set_values(fixture.learner(), fixture.watch(), batch.sequences);
    fixture.update(batch);
  }
  EXPECT_LT(fixture.update(batch).figure("value/loss"), 0.5 * first);
}

TEST(UpdateOfACritic, NeitherSplitsNorRanksChangeIt) {
  const auto one = [](int64_t tokens) {
    LearnerFixture fixture(model(), values(0.05), {}, tokens);
    set_head(fixture.model());
    fixture.accumulate(batch_of_returns());
    return fixture.take_gradients();
  };
  const auto whole = one(kAll);
  for (const int64_t tokens : {1, 25, 40}) EXPECT_LE(max_difference(whole, one(tokens)), 2e-6) << tokens;
  LearnerFixture alone(model(), values(0.05), telling_optimizer(), 40);
  set_head(alone.model());
  const auto expected = alone.update(batch_of_returns());
  dist::run_ranks(2, [&](dist::Communicator& communicator) {
    const LearnerFixture::OnRanks ranks{communicator};
    LearnerFixture fixture(model(), values(0.05), telling_optimizer(), 40, &ranks);
    set_head(fixture.model());
    const auto stats = fixture.update(batch_of_returns());
    EXPECT_LT(max_difference(fixture.weights(), alone.weights()), 2e-6);
    EXPECT_NEAR(stats.figure("value/clip_fraction"), expected.figure("value/clip_fraction"), 1e-6);
  });
}

}  // namespace
}  // namespace grpo::update
