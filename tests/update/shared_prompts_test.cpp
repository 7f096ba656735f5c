// A prompt that several sequences begin with is computed once, and nothing else changes: log-probs, gradients, figures.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>
#include <set>
#include <thread>

#include "grpo/base/log.h"
#include "grpo/base/random.h"
#include "grpo/update/streamed_update.h"
#include "support/golden.h"
#include "support/limited_memory.h"
#include "support/thread_ranks.h"
#include "update/balanced_share.h"
#include "update/families.h"
#include "update/learner_fixture.h"
#include "update/micro_batch.h"
#include "update/small_shape.h"

namespace grpo::update {
namespace {

using ::testing::ElementsAre;
using testing::small_shape;

constexpr int64_t kAll = 1 << 20;

std::filesystem::path model() { return testing::golden_section("step") / "model"; }

std::vector<int64_t> random_ids(uint64_t stream, int64_t count) {
  const base::RandomKey key{12, base::stream_id("shared prompts test")};
  std::vector<int64_t> ids;
  for (int64_t t = 0; t < count; ++t)
    ids.push_back(static_cast<int64_t>(base::uniform_below(key, stream, static_cast<uint32_t>(t), 256)));
  return ids;
}

// Sequences of one prompt, with completions of these lengths and advantages of either sign.
void add_family(std::vector<Sequence>& sequences, int64_t prompt, const std::vector<int64_t>& completions) {
  const uint64_t number = sequences.size();
  for (size_t i = 0; i < completions.size(); ++i) {
    auto sequence = sequence_of(random_ids(1000 + number, prompt), random_ids(number + i, completions[i]));
    sequence.advantages = {i % 2 == 0 ? -1.0f : 1.5f};
    sequence.sampler_log_probs.assign(static_cast<size_t>(completions[i]), -1.0f);
    sequences.push_back(std::move(sequence));
  }
}

// Families of different sizes, single sequences, prompts and completions of one token, two equal sequences, and
// sequences whose targets are in several places.
Batch families_batch() {
  Batch batch;
  add_family(batch.sequences, 12, {5, 1, 9, 3, 14});
  add_family(batch.sequences, 7, {6});
  add_family(batch.sequences, 1, {4, 2});
  add_family(batch.sequences, 9, {1, 1, 1});
  add_family(batch.sequences, 40, {3, 8});
  batch.sequences.push_back(batch.sequences.back());
  for (int64_t i = 0; i < 2; ++i) {
    Sequence turns{.ids = random_ids(500, 6),
                   .targets = {0, 0, 0, 1, 1, 0, 0, 1, 0},
                   .advantages = {i == 0 ? 1.0f : -1.0f},
                   .sampler_log_probs = {-1.0f, -2.0f, -1.5f},
                   .old_log_probs = {}};
    for (const int64_t id : random_ids(600 + static_cast<uint64_t>(i), 3)) turns.ids.push_back(id);
    batch.sequences.push_back(std::move(turns));
  }
  batch.scale = token_mean(batch.sequences);
  return batch;
}

std::vector<size_t> all_of(const std::vector<Sequence>& sequences) {
  std::vector<size_t> all(sequences.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

struct Found {
  UpdateStats stats;
  models::NamedTensors gradients;
};

Found gradient(const Batch& batch, SharePrompts share, const Objective& objective = {}, int64_t tokens = kAll,
               const models::TrainingOptions& options = {}) {
  LearnerFixture fixture(model(), objective, {}, tokens);
  fixture.learner().share_prompts = share;
  fixture.model().set_training_options(options);
  const auto stats = fixture.accumulate(batch);
  return {stats, fixture.take_gradients()};
}

// Gradients here are between 0.01 and 1, and differ by the order of fp32 sums.
void expect_same(const Found& shared, const Found& alone) {
  EXPECT_LE(max_difference(shared.gradients, alone.gradients), 2e-6);
  ASSERT_EQ(shared.stats.figures.size(), alone.stats.figures.size());
  for (const auto& figure : alone.stats.figures)
    EXPECT_NEAR(shared.stats.figure(figure.name), figure.value, 2e-6 * (1.0 + std::abs(figure.value))) << figure.name;
  EXPECT_EQ(shared.stats.tokens, alone.stats.tokens);
  EXPECT_EQ(shared.stats.groups, alone.stats.groups);
}

TEST(Families, AreNeighboursWithThePromptInCommon) {
  const auto sequences = families_batch().sequences;
  std::vector<std::vector<size_t>> found;
  std::vector<int64_t> shared, tokens;
  for (const Family& family : families_of(sequences, all_of(sequences), SharePrompts::kTrue)) {
    found.push_back(family.sequences);
    shared.push_back(family.shared);
    tokens.push_back(family.tokens);
  }
  EXPECT_THAT(found, ElementsAre(ElementsAre(0, 1, 2, 3, 4), ElementsAre(5), ElementsAre(6, 7), ElementsAre(8, 9, 10),
                                 ElementsAre(11, 12, 13), ElementsAre(14, 15)));
  EXPECT_THAT(shared, ElementsAre(12, 0, 1, 9, 40, 3));
  // The last target of a sequence is not read: 12 + 4 + 0 + 8 + 2 + 13, 7 + 5, the 6 targets of 1 + 3 + 1 tokens, ...
  EXPECT_THAT(tokens, ElementsAre(39, 12, 6, 9, 56, 11));
  for (const Family& family : families_of(sequences, all_of(sequences), SharePrompts::kFalse))
    EXPECT_EQ(family.shared, 0);
}

TEST(Families, OfAutoAreThoseWhereItPays) {
  EXPECT_FALSE(sharing_pays(/*prompt=*/8, /*sequences=*/16, /*tokens=*/16 * 16));  // the quickstart's
  EXPECT_TRUE(sharing_pays(256, 16, 16 * (256 + 64)));
  EXPECT_TRUE(sharing_pays(64, 16, 16 * (64 + 64)));
  EXPECT_TRUE(sharing_pays(100, 16, 16 * (100 + 500)));
  EXPECT_FALSE(sharing_pays(100, 2, 2 * (100 + 3000)));
  std::vector<Sequence> sequences;
  add_family(sequences, 40, {3, 8});
  add_family(sequences, 5, {3, 8});
  const auto families = families_of(sequences, all_of(sequences), SharePrompts::kAuto);
  ASSERT_EQ(families.size(), 3u);
  EXPECT_EQ(families[0].shared, 40);
  EXPECT_EQ(families[1].shared, 0);
}

TEST(Families, PacksAPromptOnce) {
  std::vector<Sequence> sequences;
  add_family(sequences, 4, {3, 1, 2});
  const auto micro = pack_micro_batch(sequences, {0, 1, 2}, at::kCPU, SharePrompts::kTrue);
  EXPECT_THAT(micro.packed.offsets, ElementsAre(0, 4, 6, 7));
  EXPECT_THAT(micro.offsets, ElementsAre(0, 3, 4, 6));
  const auto rows = micro.hidden_rows;
  EXPECT_THAT(std::vector<int64_t>(rows.const_data_ptr<int64_t>(), rows.const_data_ptr<int64_t>() + rows.numel()),
              ElementsAre(3, 4, 5, 3, 3, 6));
}

TEST(SharedPrompts, GiveTheSameGradient) {
  const auto batch = families_batch();
  expect_same(gradient(batch, SharePrompts::kTrue), gradient(batch, SharePrompts::kFalse));
}

TEST(SharedPrompts, GiveTheSameGradientInMicroBatchesOfAnySize) {
  const auto batch = families_batch();
  const auto alone = gradient(batch, SharePrompts::kFalse);
  for (const int64_t tokens : {1, 17, 20, 45, 70}) expect_same(gradient(batch, SharePrompts::kTrue, {}, tokens), alone);
}

TEST(SharedPrompts, GiveTheSameGradientOfEveryLoss) {
  const auto batch = families_batch();
  for (const Objective& objective : {Objective{.policy = {.loss = algo::Loss::kGspo}},
                                     Objective{.aggregation = algo::Aggregation::kSeqMeanTokenMean},
                                     Objective{.entropy_coef = 0.01, .temperature = 0.7}})
    expect_same(gradient(batch, SharePrompts::kTrue, objective), gradient(batch, SharePrompts::kFalse, objective));
}

TEST(SharedPrompts, GiveTheSameGradientWhereLayersAreComputedAgain) {
  const auto batch = families_batch();
  const auto alone = gradient(batch, SharePrompts::kFalse);
  for (const auto recompute : {models::Recompute::kSelective, models::Recompute::kFull})
    expect_same(gradient(batch, SharePrompts::kTrue, {}, 45, {.recompute = recompute}), alone);
}

TEST(SharedPrompts, GiveTheSameGradientOfPairs) {
  auto batch = families_batch();
  batch.sequences.resize(14);  // whole families
  batch.sequences.erase(batch.sequences.begin() + 5);
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    batch.sequences[i].group = i < 2 ? 0 : i < 5 ? 1 : i < 7 ? 2 : i < 10 ? 3 : 4;
    batch.sequences[i].advantages = {static_cast<float>(i % 3)};
  }
  const Objective objective{.preference = algo::PreferenceConfig{.beta = 0.3}};
  for (const int64_t tokens : {int64_t{20}, kAll})
    expect_same(gradient(batch, SharePrompts::kTrue, objective, tokens),
                gradient(batch, SharePrompts::kFalse, objective));
}

TEST(SharedPrompts, GiveTheSameGradientOfACritic) {
  auto batch = families_batch();
  for (auto& sequence : batch.sequences) {
    const auto targets = sequence.sampler_log_probs.size();
    sequence.returns.assign(targets, sequence.advantages[0]);
    sequence.old_values.assign(targets, 0.1f);
  }
  const Objective objective{.value = Objective::Value{.clip = 0.2}};
  expect_same(gradient(batch, SharePrompts::kTrue, objective), gradient(batch, SharePrompts::kFalse, objective));
}

TEST(SharedPrompts, GiveTheSameLogProbs) {
  const auto numbers = [](SharePrompts share, int64_t tokens) {
    auto sequences = families_batch().sequences;
    LearnerFixture fixture(model(), {}, {}, tokens);
    fixture.learner().share_prompts = share;
    set_old_log_probs(fixture.learner(), fixture.watch(), sequences);
    std::vector<float> all;
    for (const auto& sequence : sequences)
      all.insert(all.end(), sequence.old_log_probs.begin(), sequence.old_log_probs.end());
    return all;
  };
  const auto alone = numbers(SharePrompts::kFalse, kAll);
  for (const int64_t tokens : {int64_t{17}, kAll})
    EXPECT_THAT(numbers(SharePrompts::kTrue, tokens), ::testing::Pointwise(::testing::FloatNear(1e-5f), alone));
}

// Hidden states of all targets, and the gradient of a weighted sum of them, by a model in fp64.
std::pair<at::Tensor, std::vector<at::Tensor>> in_fp64(SharePrompts share) {
  const auto sequences = families_batch().sequences;
  const auto model = models::CausalLM::load(update::model(), at::kDouble, at::kCPU);
  const auto micro = pack_micro_batch(sequences, all_of(sequences), at::kCPU, share);
  const auto hidden = model->hidden_states(micro.packed).index_select(0, micro.hidden_rows);
  const auto logits = hidden.matmul(model->head_weight().t());
  (logits.log_softmax(-1).gather(1, micro.targets.unsqueeze(1)).square()).mean().backward();
  std::vector<at::Tensor> gradients;
  for (const auto& [name, parameter] : model->parameters()) gradients.push_back(parameter.grad());
  return {hidden.detach(), gradients};
}

TEST(SharedPrompts, AreExactInFp64) {
  const auto [hidden, gradients] = in_fp64(SharePrompts::kTrue);
  const auto [expected, expected_gradients] = in_fp64(SharePrompts::kFalse);
  EXPECT_LE((hidden - expected).abs().max().item<double>(), 1e-12);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const double largest = expected_gradients[i].abs().max().item<double>();
    EXPECT_LE((gradients[i] - expected_gradients[i]).abs().max().item<double>(), 1e-12 * (1.0 + largest)) << i;
  }
}

TEST(SharedPrompts, StayTogetherInMicroBatchesWhereTheyFit) {
  std::vector<Sequence> sequences;
  for (int64_t q = 0; q < 6; ++q) add_family(sequences, 50, {10 + q, 20, 5, 12});
  const auto prompt_of = [&](size_t index) { return index / 4; };
  for (const int64_t max_tokens : {60, 70, 100, 200, 300, 10000}) {
    std::multiset<size_t> found;
    std::map<size_t, std::set<size_t>> places;
    const auto parts =
        split_micro_batches(sequences, all_of(sequences), small_shape(), SharePrompts::kTrue, max_tokens);
    for (size_t p = 0; p < parts.size(); ++p) {
      EXPECT_TRUE(tokens_of(sequences, parts[p], SharePrompts::kTrue) <= max_tokens || parts[p].size() == 1);
      const auto packed = pack_micro_batch(sequences, parts[p], at::kCPU, SharePrompts::kTrue).packed;
      EXPECT_EQ(packed.num_tokens(), tokens_of(sequences, parts[p], SharePrompts::kTrue));
      for (const size_t index : parts[p]) {
        found.insert(index);
        places[prompt_of(index)].insert(p);
      }
    }
    EXPECT_EQ(found.size(), sequences.size());
    EXPECT_EQ(std::set<size_t>(found.begin(), found.end()).size(), sequences.size());
    for (const auto& [prompt, parts_of_it] : places) {
      if (max_tokens >= 100) {  // a whole family has at most 98
        EXPECT_EQ(parts_of_it.size(), 1u) << prompt << " of " << max_tokens;
      }
      if (max_tokens == 70) {  // two or more of a prompt fit
        EXPECT_LT(parts_of_it.size(), 4u);
      }
    }
  }
}

double work_of_rank(const std::vector<Sequence>& sequences, SharePrompts share, int64_t rank, int64_t ranks) {
  double work = 0.0;
  for (const Family& family :
       families_of(sequences, balanced_share(sequences, small_shape(), share, rank, ranks), share))
    work += work_of(sequences, family, small_shape());
  return work;
}

TEST(SharedPrompts, AreDividedOverRanksOnlyWhereThatHelps) {
  std::vector<Sequence> even, one;
  for (int64_t q = 0; q < 4; ++q) add_family(even, 50, {20, 20, 20, 20});
  add_family(one, 50, {20, 20, 20, 20, 20, 20, 20});
  for (int64_t rank = 0; rank < 2; ++rank) {
    const auto share = balanced_share(even, small_shape(), SharePrompts::kTrue, rank, 2);
    ASSERT_EQ(share.size(), 8u);
    for (size_t i = 0; i < share.size(); i += 4) EXPECT_EQ(share[i] / 4, share[i + 3] / 4);  // whole families
    const size_t of_one = balanced_share(one, small_shape(), SharePrompts::kTrue, rank, 2).size();
    EXPECT_TRUE(of_one == 3 || of_one == 4) << of_one;
  }
  // Whatever the ranks, sharing makes no rank's work more than it is without.
  for (const int64_t ranks : {2, 3, 5, 16}) {
    double shared = 0.0, alone = 0.0;
    std::multiset<size_t> trained;
    for (int64_t rank = 0; rank < ranks; ++rank) {
      shared = std::max(shared, work_of_rank(even, SharePrompts::kTrue, rank, ranks));
      alone = std::max(alone, work_of_rank(even, SharePrompts::kFalse, rank, ranks));
      for (const size_t index : balanced_share(even, small_shape(), SharePrompts::kTrue, rank, ranks))
        trained.insert(index);
    }
    EXPECT_LE(shared, alone) << ranks;
    EXPECT_EQ(trained.size(), even.size());
    EXPECT_EQ(std::set<size_t>(trained.begin(), trained.end()).size(), even.size());
  }
}

class SharedPromptsOnRanks : public ::testing::TestWithParam<optim::StateSharding> {};
INSTANTIATE_TEST_SUITE_P(EverySharding, SharedPromptsOnRanks,
                         ::testing::Values(optim::StateSharding::kNone, optim::StateSharding::kOptimizer,
                                           optim::StateSharding::kGradients, optim::StateSharding::kWeights));

TEST_P(SharedPromptsOnRanks, AreTheUpdateOfOneThatSharesNone) {
  const auto batch = families_batch();
  LearnerFixture one(model(), {}, telling_optimizer(), 45);
  EXPECT_TRUE(one.update(batch).applied);
  for (const int64_t ranks : {2, 3}) {
    dist::run_ranks(ranks, [&](dist::Communicator& communicator) {
      const LearnerFixture::OnRanks on_ranks{communicator, GetParam()};
      LearnerFixture fixture(model(), {}, telling_optimizer(), 45, &on_ranks);
      fixture.learner().share_prompts = SharePrompts::kTrue;
      fixture.learner().optimizer.release_weights();
      EXPECT_TRUE(fixture.update(batch).applied);
      fixture.learner().optimizer.gather_weights();
      EXPECT_LT(max_difference(fixture.weights(), one.weights()), 2e-6);
    });
  }
}

// The places of a streamed update: families, parts of one, and an empty place.
std::vector<std::vector<Sequence>> places_of(const Batch& batch) {
  const auto part = [&](size_t first, size_t last) {
    return std::vector<Sequence>(batch.sequences.begin() + static_cast<int64_t>(first),
                                 batch.sequences.begin() + static_cast<int64_t>(last));
  };
  return {part(0, 3), part(3, 5), {}, part(5, 8), part(8, 11), part(11, 14), part(14, 16)};
}

TEST(SharedPrompts, GiveTheSameStreamedUpdateWheneverTheyCome) {
  base::set_quiet(true);
  const auto batch = families_batch();
  const auto places = places_of(batch);
  const auto streamed = [&](SharePrompts share, const std::vector<size_t>& order, int pause_ms) {
    LearnerFixture fixture(model(), {}, telling_optimizer(), 30);
    fixture.learner().share_prompts = share;
    StreamedUpdate stream(fixture.learner(), fixture.watch());
    for (size_t i = 0; i < places.size(); ++i) stream.announce();
    for (const size_t at : order) {
      stream.take(at, places[at]);
      std::this_thread::sleep_for(std::chrono::milliseconds(pause_ms));
    }
    EXPECT_TRUE(stream.finish(batch.scale).applied);
    return fixture.weights();
  };
  const auto at_once = streamed(SharePrompts::kTrue, {0, 1, 2, 3, 4, 5, 6}, 0);
  EXPECT_EQ(max_difference(at_once, streamed(SharePrompts::kTrue, {0, 1, 2, 3, 4, 5, 6}, 5)), 0.0);
  EXPECT_EQ(max_difference(at_once, streamed(SharePrompts::kTrue, {6, 4, 0, 5, 3, 2, 1}, 2)), 0.0);
  EXPECT_LE(max_difference(at_once, streamed(SharePrompts::kFalse, {0, 1, 2, 3, 4, 5, 6}, 0)), 2e-6);
}

TEST(SharedPrompts, StartOverInSmallerMicroBatchesWhenMemoryRunsOut) {
  base::set_quiet(true);
  throw_when_memory_runs_out();
  Batch batch;
  add_family(batch.sequences, 30, {36, 48, 20, 28, 44, 32});  // one family, which has to be divided
  batch.scale = token_mean(batch.sequences);
  int64_t peak = 0, left = kAll;
  const auto run = [&](int64_t limit) {
    LearnerFixture fixture(model(), {}, {}, kAll);
    fixture.learner().share_prompts = SharePrompts::kTrue;
    fixture.accumulate(batch);  // allocates what is kept from then on, so that it does not count below
    fixture.learner().optimizer.zero_grad();
    Found found;
    {
      const testing::LimitedMemory memory(limit);
      found.stats = fixture.accumulate(batch);
      peak = memory.most();
    }
    left = fixture.budget().tokens();
    found.gradients = fixture.take_gradients();
    return found;
  };
  const auto whole = run(int64_t{1} << 40);
  EXPECT_EQ(left, kAll);
  expect_same(run(peak - 1), whole);
  EXPECT_LT(left, 232);
}

}  // namespace
}  // namespace grpo::update
