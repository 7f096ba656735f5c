// Updates whose sequences are compared with one another: splits, ranks and streaming do not change them.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <numeric>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/update/streamed_update.h"
#include "support/golden.h"
#include "support/limited_memory.h"
#include "support/message_of.h"
#include "support/thread_ranks.h"
#include "update/balanced_share.h"
#include "update/families.h"
#include "update/learner_fixture.h"
#include "update/micro_batch.h"
#include "update/small_shape.h"

namespace grpo::update {
namespace {

constexpr int64_t kAll = 1 << 20;

std::filesystem::path model() { return testing::golden_section("step") / "model"; }

// uneven_batch() as pairs of neighbours, of which the second one is the better one.
Batch pairs() {
  auto batch = uneven_batch(256);
  for (size_t i = 0; i < batch.sequences.size(); ++i) batch.sequences[i].group = static_cast<int64_t>(i / 2);
  batch.scale = 1.0 / 4.0;
  return batch;
}

Objective logistic() { return {.preference = algo::PreferenceConfig{.beta = 0.7, .length_normalised = true}}; }
Objective dpo() { return {.preference = algo::PreferenceConfig{.beta = 0.3}, .against_reference = true}; }

struct Found {
  UpdateStats stats;
  models::NamedTensors gradients;
};

Found gradient(const Batch& batch, const Objective& objective, int64_t tokens = kAll) {
  LearnerFixture fixture(model(), objective, {}, tokens);
  fixture.learner().reference = &fixture.model();
  const auto stats = fixture.accumulate(batch);
  return {stats, fixture.take_gradients()};
}

// The mean of a sequence's log-probs under the start weights.
double mean_log_prob(const Sequence& sequence) {
  const at::NoGradGuard no_grad;
  const auto start = models::CausalLM::load(model(), at::kFloat, at::kCPU);
  const auto hidden = start->hidden_states(nn::PackedBatch::pack({sequence.ids}));
  const auto log_probs = hidden.matmul(start->head_weight().t()).to(at::kDouble).log_softmax(-1);
  double sum = 0.0, count = 0.0;
  for (size_t t = 1; t < sequence.ids.size(); ++t) {
    if (sequence.targets[t] == 0) continue;
    sum += log_probs[static_cast<int64_t>(t) - 1][sequence.ids[t]].item<double>();
    count += 1.0;
  }
  return sum / count;
}

TEST(UpdateOfPairs, TheLossIsTheMeanOverPairs) {
  const auto batch = pairs();
  double loss = 0.0, margin = 0.0;
  for (size_t k = 0; k < 4; ++k) {
    const double m = mean_log_prob(batch.sequences[2 * k + 1]) - mean_log_prob(batch.sequences[2 * k]);
    loss += std::log1p(std::exp(-0.7 * m)) / 4.0;
    margin += m / 4.0;
  }
  const auto found = gradient(batch, logistic());
  EXPECT_NEAR(found.stats.figure("loss"), loss, 1e-6);
  EXPECT_NEAR(found.stats.figure("margin/mean"), margin, 1e-5);
  EXPECT_EQ(found.stats.groups, 4);
}

// This also holds where a pair is longer than the budget of a micro-batch.
TEST(UpdateOfPairs, SplitIntoMicroBatchesChangesNothing) {
  for (const auto& objective : {logistic(), dpo()}) {
    const auto whole = gradient(pairs(), objective);
    for (const int64_t tokens : {1, 25, 40}) {
      const auto split = gradient(pairs(), objective, tokens);
      EXPECT_LE(max_difference(whole.gradients, split.gradients), 2e-6) << tokens;  // sums in another order
      for (const auto& figure : whole.stats.figures)
        EXPECT_NEAR(split.stats.figure(figure.name), figure.value, 1e-5) << figure.name;
    }
  }
}

TEST(UpdateOfPairs, GroupsOfAnySizeAreTrainedWhole) {
  auto batch = pairs();
  for (size_t i = 0; i < 8; ++i) batch.sequences[i].group = i < 3 ? 0 : 1;
  batch.sequences[1].advantages = {0.25f};
  batch.scale = 0.5;
  const auto whole = gradient(batch, logistic());
  EXPECT_LE(max_difference(whole.gradients, gradient(batch, logistic(), 1).gradients), 2e-6);
  EXPECT_EQ(whole.stats.groups, 2);
}

TEST(UpdateOfPairs, WeightsOfGroupsMultiplyTheirTerms) {
  auto without = pairs(), weighted = pairs();
  without.sequences.resize(6);
  for (const size_t i : {6, 7}) weighted.sequences[i].weight = 0.0;
  EXPECT_LE(max_difference(gradient(without, dpo()).gradients, gradient(weighted, dpo()).gradients), 1e-6);
}

// The policy is its own reference here, as at the start of a run, so that all margins are 0.
TEST(UpdateOfPairs, KnownLogProbsTakeThePlaceOfTheReference) {
  const auto with_model = gradient(pairs(), dpo());
  EXPECT_NEAR(with_model.stats.figure("loss"), std::log(2.0), 1e-6);
  EXPECT_NEAR(with_model.stats.figure("rewards/margins"), 0.0, 1e-5);
  auto known = pairs();
  for (auto& sequence : known.sequences) {
    const auto targets = std::count(sequence.targets.begin(), sequence.targets.end(), uint8_t{1});
    sequence.reference_log_prob = mean_log_prob(sequence) * static_cast<double>(targets);
  }
  LearnerFixture fixture(model(), dpo(), {}, kAll);  // a learner without a reference
  const auto stats = fixture.accumulate(known);
  EXPECT_NEAR(stats.figure("logps/chosen"), with_model.stats.figure("logps/chosen"), 1e-5);
  EXPECT_LE(max_difference(with_model.gradients, fixture.take_gradients()), 1e-5);
  EXPECT_THROW(fixture.accumulate(pairs()), std::logic_error);
}

TEST(UpdateOfPairs, StreamedItIsTheUpdate) {
  const auto batch = pairs();
  LearnerFixture plain(model(), logistic(), telling_optimizer(), 40);
  const auto expected = plain.update(batch);
  LearnerFixture streamed(model(), logistic(), telling_optimizer(), 25);
  StreamedUpdate stream(streamed.learner(), streamed.watch());
  for (size_t k = 0; k < 4; ++k) stream.take(stream.announce(), {batch.sequences[2 * k], batch.sequences[2 * k + 1]});
  const auto stats = stream.finish(batch.scale);
  EXPECT_LE(max_difference(plain.weights(), streamed.weights()), 2e-6);
  for (const auto& figure : expected.figures) EXPECT_NEAR(stats.figure(figure.name), figure.value, 1e-5) << figure.name;
}

TEST(UpdateOfPairs, OnRanksItIsTheUpdateOfOne) {
  LearnerFixture one(model(), logistic(), telling_optimizer(), 40);
  const auto expected = one.update(pairs());
  for (const auto sharding : {optim::StateSharding::kNone, optim::StateSharding::kWeights}) {
    dist::run_ranks(3, [&](dist::Communicator& communicator) {
      const LearnerFixture::OnRanks ranks{communicator, sharding};
      LearnerFixture fixture(model(), logistic(), telling_optimizer(), 40, &ranks);
      fixture.learner().optimizer.release_weights();
      const auto stats = fixture.update(pairs());
      fixture.learner().optimizer.gather_weights();
      EXPECT_LT(max_difference(fixture.weights(), one.weights()), 2e-6);
      for (const auto& figure : expected.figures)
        EXPECT_NEAR(stats.figure(figure.name), figure.value, 1e-5) << figure.name;
    });
  }
}

std::vector<Sequence> grouped(const std::vector<std::pair<int64_t, int64_t>>& lengths_and_groups) {
  std::vector<Sequence> sequences;
  for (const auto& [length, group] : lengths_and_groups) {
    sequences.push_back(sequence_of({1}, std::vector<int64_t>(static_cast<size_t>(length), 2)));
    sequences.back().group = group;
  }
  return sequences;
}

TEST(Groups, AreNeverSplit) {
  const auto sequences =
      grouped({{900, 0}, {1, 0}, {800, 1}, {5, 1}, {5, 1}, {5, -1}, {700, -1}, {600, 2}, {600, 2}, {600, 3}, {5, 3}});
  std::vector<size_t> all(sequences.size());
  std::iota(all.begin(), all.end(), size_t{0});
  for (const int64_t max_tokens : {1, 1000, 1500}) {
    std::map<int64_t, size_t> place;
    const auto parts = split_micro_batches(sequences, all, testing::small_shape(), SharePrompts::kFalse, max_tokens);
    size_t found = 0;
    for (size_t p = 0; p < parts.size(); ++p) {
      found += parts[p].size();
      EXPECT_TRUE(tokens_of(sequences, parts[p], SharePrompts::kFalse) <= max_tokens ||
                  groups_of(sequences, parts[p]).size() == 1);
      for (const size_t i : parts[p]) {
        if (sequences[i].group >= 0) EXPECT_EQ(place.emplace(sequences[i].group, p).first->second, p);
      }
    }
    EXPECT_EQ(found, sequences.size());
  }
  std::map<int64_t, int64_t> owner;
  for (int64_t rank = 0; rank < 3; ++rank) {
    for (const size_t i : balanced_share(sequences, testing::small_shape(), SharePrompts::kFalse, rank, 3)) {
      if (sequences[i].group >= 0) EXPECT_EQ(owner.emplace(sequences[i].group, rank).first->second, rank);
    }
  }
  EXPECT_EQ(owner.size(), 4u);
}

// A group is not split, so halving the budget again and again would not make it fit.
TEST(Groups, OneThatDoesNotFitEndsTheUpdate) {
  TokenBudget budget(1000);
  const std::string error = testing::message_of<base::Error>(
      [&] { budget.shrink({.where = "step 1", .error = "none left", .sequences = 2, .groups = 1, .tokens = 900}); });
  EXPECT_THAT(error, ::testing::HasSubstr("not even one group fits"));
  EXPECT_EQ(budget.tokens(), 1000);
}

}  // namespace
}  // namespace grpo::update
