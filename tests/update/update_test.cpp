// From sequences to one update: what is trained, with which weight, and that no split changes the gradient.
#include "grpo/update/update.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "grpo/models/freeze.h"
#include "support/golden.h"
#include "support/thread_ranks.h"
#include "update/learner_fixture.h"

namespace grpo::update {
namespace {

constexpr int64_t kAll = 1 << 20;

std::filesystem::path model() { return testing::golden_section("step") / "model"; }

optim::OptimizerConfig small_steps() {
  optim::OptimizerConfig config;
  config.lr = 1e-4;
  config.warmup_updates = 0;
  return config;
}

struct Found {
  UpdateStats stats;
  models::NamedTensors gradients;
};

Found gradient(const Batch& batch, const Objective& objective = {}, int64_t tokens = kAll) {
  LearnerFixture fixture(model(), objective, {}, tokens);
  const auto stats = fixture.accumulate(batch);
  return {stats, fixture.take_gradients()};
}

// The log-prob of each target, computed from the model's logits.
std::vector<double> log_probs_of(const Sequence& sequence) {
  const at::NoGradGuard no_grad;
  const auto model = models::CausalLM::load(update::model(), at::kFloat, at::kCPU);
  const auto hidden = model->hidden_states(nn::PackedBatch::pack({sequence.ids}));
  const auto log_probs = hidden.matmul(model->head_weight().t()).to(at::kDouble).log_softmax(-1);
  std::vector<double> values;
  for (size_t t = 1; t < sequence.ids.size(); ++t) {
    if (sequence.targets[t] == 1)
      values.push_back(log_probs[static_cast<int64_t>(t) - 1][sequence.ids[t]].item<double>());
  }
  return values;
}

TEST(UpdateOfSequences, TrainsTheTargetsAloneAlsoWhereTheyAreInSeveralPlaces) {
  Sequence sequence{.ids = {5, 9, 200, 31, 7, 8, 90, 4},
                    .targets = {0, 0, 1, 1, 0, 0, 1, 0},
                    .advantages = {1.0f},
                    .sampler_log_probs = {},
                    .old_log_probs = {}};
  const auto log_probs = log_probs_of(sequence);
  ASSERT_EQ(log_probs.size(), 3u);
  const auto found =
      gradient({.sequences = {sequence}, .scale = 1.0 / 3.0}, {.policy = {.loss = algo::Loss::kReinforce}});
  EXPECT_EQ(found.stats.tokens, 3);
  EXPECT_NEAR(found.stats.figure("loss"), -std::accumulate(log_probs.begin(), log_probs.end(), 0.0) / 3.0, 1e-5);
  EXPECT_EQ(found.stats.figure("kl/sampler"), 0.0);  // nobody sampled it

  // What stands behind the last target is not read.
  sequence.ids.back() = 77;
  EXPECT_EQ(max_difference(found.gradients, gradient({.sequences = {sequence}, .scale = 1.0 / 3.0},
                                                     {.policy = {.loss = algo::Loss::kReinforce}})
                                                .gradients),
            0.0);
}

TEST(UpdateOfSequences, OneAdvantageIsThatOfEveryTarget) {
  auto batch = uneven_batch(256);
  const auto constant = gradient(batch);
  for (auto& sequence : batch.sequences)
    sequence.advantages.assign(sequence.sampler_log_probs.size(), sequence.advantages[0]);
  EXPECT_EQ(max_difference(constant.gradients, gradient(batch).gradients), 0.0);
  batch.sequences[2].advantages[1] = 0.0f;
  EXPECT_GT(max_difference(constant.gradients, gradient(batch).gradients), 1e-4);
  batch.sequences[2].advantages.pop_back();
  EXPECT_ANY_THROW(gradient(batch));
}

TEST(UpdateOfSequences, WeightsMultiplyTheirTerms) {
  auto weighted = uneven_batch(256);
  const auto plain = gradient(weighted);
  for (auto& sequence : weighted.sequences) sequence.weight = 0.5;
  const auto half = gradient(weighted);
  EXPECT_NEAR(half.stats.figure("loss"), 0.5 * plain.stats.figure("loss"), 1e-7);
  for (size_t i = 0; i < plain.gradients.size(); ++i) {
    // To halve a number is exact, but to add it up with others is not.
    EXPECT_LE((half.gradients[i].second - 0.5 * plain.gradients[i].second).abs().max().item<double>(), 1e-6);
  }
  auto one = uneven_batch(256), without = uneven_batch(256);
  one.sequences[3].weight = 0.0;
  without.sequences.erase(without.sequences.begin() + 3);
  EXPECT_LE(max_difference(gradient(one).gradients, gradient(without).gradients), 1e-6);  // sums in another order
}

TEST(UpdateOfSequences, SplitIntoMicroBatchesChangesNothing) {
  for (const auto aggregation : {algo::Aggregation::kTokenMean, algo::Aggregation::kSeqMeanTokenMean}) {
    const auto batch = uneven_batch(256);
    const auto whole = gradient(batch, {.aggregation = aggregation});
    for (const int64_t tokens : {1, 17, 40}) {
      const auto split = gradient(batch, {.aggregation = aggregation}, tokens);
      EXPECT_LE(max_difference(whole.gradients, split.gradients), 2e-6) << tokens;  // sums in another order
      EXPECT_NEAR(whole.stats.figure("loss"), split.stats.figure("loss"), 1e-6);
      EXPECT_EQ(whole.stats.tokens, split.stats.tokens);
    }
  }
}

TEST(UpdateOfSequences, OldLogProbsAreThoseOfThePolicyThatLearns) {
  auto batch = uneven_batch(256);
  LearnerFixture fixture(model(), {}, small_steps(), 17);
  set_old_log_probs(fixture.learner(), fixture.watch(), batch.sequences);
  for (const auto& sequence : batch.sequences) {
    const auto expected = log_probs_of(sequence);
    ASSERT_EQ(sequence.old_log_probs.size(), expected.size());
    for (size_t t = 0; t < expected.size(); ++t)
      EXPECT_NEAR(static_cast<double>(sequence.old_log_probs[t]), expected[t], 1e-5);
  }
  EXPECT_NEAR(fixture.update(batch).figure("ratio/max"), 1.0, 1e-5);
  EXPECT_GT(fixture.update(batch).figure("ratio/max"),
            1.0 + 1e-4);  // the weights have moved, the old log-probs have not
}

TEST(UpdateOfSequences, StopsBetweenMicroBatchesAndChangesNothing) {
  LearnerFixture fixture(model(), {}, small_steps(), 17);
  const auto before = fixture.weights();
  int asked = 0;
  const Watch watch{.name = "step 1", .should_stop = [&] { return ++asked > 2; }};
  EXPECT_TRUE(update_weights(fixture.learner(), watch, uneven_batch(256)).dropped);
  EXPECT_EQ(max_difference(before, fixture.weights()), 0.0);
}

TEST(UpdateOfSequences, ThePassBeforeItIsWatchedAndStopsToo) {
  LearnerFixture fixture(model(), {}, small_steps(), 17);
  auto batch = uneven_batch(256);
  int asked = 0;
  const Watch goes_on{.name = "step 1", .should_stop = [&] { return ++asked < 0; }};
  set_old_log_probs(fixture.learner(), goes_on, batch.sequences);
  EXPECT_GT(asked, 2);  // once a micro-batch, which is how a watchdog hears of progress
  for (auto& sequence : batch.sequences) sequence.old_log_probs.clear();
  asked = 0;
  const Watch stops{.name = "step 1", .should_stop = [&] { return ++asked > 1; }};
  set_old_log_probs(fixture.learner(), stops, batch.sequences);
  const auto is_set = [](const Sequence& sequence) { return !sequence.old_log_probs.empty(); };
  const auto set = std::count_if(batch.sequences.begin(), batch.sequences.end(), is_set);
  EXPECT_GT(set, 0);
  EXPECT_LT(set, static_cast<int64_t>(batch.sequences.size()));
  EXPECT_TRUE(update_weights(fixture.learner(), stops, batch).dropped);
}

TEST(UpdateOfSequences, WithoutASequenceThereIsNone) {
  LearnerFixture fixture(model(), {}, small_steps(), kAll);
  const auto before = fixture.weights();
  EXPECT_FALSE(fixture.update({}).applied);
  EXPECT_EQ(fixture.learner().optimizer.updates(), 0);
  EXPECT_EQ(max_difference(before, fixture.weights()), 0.0);
}

class UpdateOfSequencesOnRanks : public ::testing::TestWithParam<optim::StateSharding> {};
INSTANTIATE_TEST_SUITE_P(EverySharding, UpdateOfSequencesOnRanks,
                         ::testing::Values(optim::StateSharding::kNone, optim::StateSharding::kOptimizer,
                                           optim::StateSharding::kGradients, optim::StateSharding::kWeights));

// Adam's first step has the size of lr whatever the size of the gradient. A difference of 1e-6 is a hundredth of that.
TEST_P(UpdateOfSequencesOnRanks, IsTheUpdateOfOne) {
  const auto batch = uneven_batch(256);
  LearnerFixture one(model(), {}, small_steps(), 17);
  EXPECT_TRUE(one.update(batch).applied);
  dist::run_ranks(3, [&](dist::Communicator& communicator) {
    const LearnerFixture::OnRanks ranks{communicator, GetParam()};
    LearnerFixture fixture(model(), {}, small_steps(), 17, &ranks);
    fixture.learner().optimizer.release_weights();
    EXPECT_TRUE(fixture.update(batch).applied);
    fixture.learner().optimizer.gather_weights();
    EXPECT_LT(max_difference(fixture.weights(), one.weights()), 1e-6);
  });
}

// Frozen are a whole layer, parts of another, and the embedding, which is also the head.
TEST_P(UpdateOfSequencesOnRanks, LeavesFrozenWeightsAloneAndTrainsTheOthersAsOneDoes) {
  const std::vector<std::string> frozen = {"embed", "layers.1", "layers.0.self_attn.q_proj", "layers.0.mlp"};
  const auto batch = uneven_batch(256);
  LearnerFixture one(model(), {}, small_steps(), 17, nullptr, frozen);
  const auto before = one.weights();
  EXPECT_TRUE(one.update(batch).applied);
  const auto after = one.weights();
  size_t moved = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const bool same = before[i].second.equal(after[i].second);
    EXPECT_EQ(same, models::names_weight(frozen, before[i].first)) << before[i].first;
    moved += same ? 0 : 1;
  }
  EXPECT_GT(moved, 0u);
  dist::run_ranks(3, [&](dist::Communicator& communicator) {
    const LearnerFixture::OnRanks ranks{communicator, GetParam()};
    LearnerFixture fixture(model(), {}, small_steps(), 17, &ranks, frozen);
    fixture.learner().optimizer.release_weights();
    EXPECT_TRUE(fixture.update(batch).applied);
    fixture.learner().optimizer.gather_weights();
    EXPECT_LT(max_difference(fixture.weights(), after), 1e-6);
  });
}

UpdateStats some_update(double value, double grad_norm, double lr, int64_t tokens) {
  using algo::Fold;
  return {.figures = {{"sum", Fold::kSum, value},
                      {"mean", Fold::kMean, value},
                      {"largest_mean", Fold::kLargestMean, value},
                      {"max", Fold::kMax, value}},
          .grad_norm = grad_norm,
          .lr = lr,
          .tokens = tokens,
          .applied = true};
}

TEST(MeanOfUpdates, FoldsFiguresAsTheySayAndCountsTheAppliedOnes) {
  auto skipped = some_update(7.0, 0.0, 0.0, 1);
  skipped.applied = false;
  const auto mean = mean_of_updates({some_update(1.0, 2.0, 0.1, 5), skipped, some_update(3.0, 4.0, 0.2, 7)});
  EXPECT_EQ(mean.figure("sum"), 2.0);
  EXPECT_EQ(mean.figure("mean"), 2.0);
  EXPECT_EQ(mean.figure("largest_mean"), 7.0);
  EXPECT_EQ(mean.figure("max"), 7.0);
  EXPECT_EQ(mean.grad_norm, 3.0);
  EXPECT_EQ(mean.lr, 0.2);
  EXPECT_EQ(mean.tokens, 13);
  EXPECT_FALSE(mean_of_updates({skipped}).applied);
  EXPECT_EQ(mean_of_updates({skipped}).figure("mean"), 0.0);
  EXPECT_THROW(mean.figure("none"), std::logic_error);
}

// A NaN that std::max would hide. That of an update that was not applied is not one of the step's.
TEST(MeanOfUpdates, KeepsTheNanOfAnAppliedUpdateAlone) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto unknown = some_update(nan, 1.0, 0.1, 5), known = some_update(3.0, 1.0, 0.1, 5);
  EXPECT_TRUE(std::isnan(mean_of_updates({known, unknown, known}).figure("max")));
  auto skipped = unknown;
  skipped.applied = false;
  EXPECT_EQ(mean_of_updates({known, skipped}).figure("max"), 3.0);
  EXPECT_EQ(mean_of_updates({skipped, known}).figure("largest_mean"), 3.0);
}

TEST(Figures, AreTheSameForEveryUpdateAlsoForOneOfNothing) {
  const auto names = [](const UpdateStats& stats) {
    std::vector<std::string> all;
    for (const Figure& figure : stats.figures) all.push_back(figure.name);
    return all;
  };
  for (const auto loss :
       {algo::Loss::kClip, algo::Loss::kReinforce, algo::Loss::kGspo, algo::Loss::kCispo, algo::Loss::kSapo}) {
    LearnerFixture fixture(model(), {.policy = {.loss = loss}}, small_steps(), 17);
    EXPECT_EQ(names(fixture.update({})), names(fixture.update(uneven_batch(256))));
  }
  LearnerFixture dual(model(), {.policy = {.dual_clip = 3.0}}, small_steps(), kAll);
  EXPECT_EQ(dual.update(uneven_batch(256)).figure("clip_fraction/dual"), 0.0);
}

}  // namespace
}  // namespace grpo::update
