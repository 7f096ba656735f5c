#include "grpo/rollout/engine.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "grpo/base/error.h"
#include "grpo/nn/lm_head.h"
#include "rollout/forward_batch.h"
#include "rollout/golden_greedy.h"
#include "rollout/small_engine.h"
#include "support/golden.h"

namespace grpo::rollout {
namespace {

using ::testing::HasSubstr;

using testing::expect_equal;
using testing::kGeneration;
using testing::kKey;
using testing::kVocabulary;
using testing::requests_of;
using testing::small_model;

std::vector<Group> generate(const models::CausalLM& model, EngineOptions config, const std::vector<Request>& requests,
                            EngineStats* stats = nullptr) {
  config.exact = true;
  Engine engine(model, config);
  auto groups = engine.generate(requests, kGeneration, kKey);
  if (stats != nullptr) *stats = engine.stats();
  return groups;
}

TEST(Engine, ACompletionDoesNotDependOnItsBatch) {
  const auto model = small_model();
  const auto requests = requests_of({1, 3, 16, 17, 40, 8}, 3);
  const auto together = generate(*model, {}, requests);
  for (const EngineOptions& config :
       {EngineOptions{.page_size = 1}, EngineOptions{.page_size = 5, .max_sequences = 1},
        EngineOptions{.page_size = 64, .max_sequences = 4}, EngineOptions{.max_sequences = 7}}) {
    expect_equal(together, generate(*model, config, requests));
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    auto alone = generate(*model, {}, {requests[i]});
    expect_equal({together[i]}, alone);
  }
}

TEST(Engine, PreemptionChangesNothing) {
  const auto model = small_model();
  const auto requests = requests_of({6, 9, 4, 12, 7, 30}, 4);
  EngineStats plenty;
  EngineStats scarce;
  const auto expected = generate(*model, {.page_size = 4}, requests, &plenty);
  // The longest sequence needs 54 tokens: 14 pages and one for its prompt's copy.
  const auto actual = generate(*model, {.page_size = 4, .num_pages = {15}}, requests, &scarce);
  EXPECT_EQ(plenty.preempted, 0);
  EXPECT_GT(scarce.preempted, 0);
  expect_equal(expected, actual);
}

// The host ahead of the device, batches filled up, steps recorded and replayed: as on CUDA.
TEST(Engine, StepsAheadAndGraphsChangeNothing) {
  const auto model = small_model();
  const auto requests = requests_of({6, 9, 4, 12, 7, 30}, 4);
  const auto expected = generate(*model, {.page_size = 4}, requests);
  for (const int64_t steps : {0, 1, 2, 5}) {
    for (const bool graphs : {false, true}) {
      for (const int64_t pages : {100, 15}) {
        SCOPED_TRACE(::testing::Message() << steps << " steps ahead, graphs " << graphs << ", " << pages << " pages");
        EngineStats stats;
        expect_equal(
            expected,
            generate(
                *model,
                {.page_size = 4, .max_sequences = 9, .num_pages = {pages}, .steps_ahead = {steps}, .graphs = {graphs}},
                requests, &stats));
        EXPECT_EQ(stats.preempted > 0, pages == 15);
      }
    }
  }
}

TEST(Engine, PromptsThatWaitForEachOtherChangeNothing) {
  const auto model = small_model();
  const auto requests = requests_of({6, 9, 4, 12, 7, 30, 3, 5, 8, 11}, 2);
  const auto expected = generate(*model, {.page_size = 4}, requests);
  for (const double share : {0.1, 0.5, 2.0}) {
    for (const int64_t sequences : {1, 5, 9}) {
      EngineStats stats;
      expect_equal(expected, generate(*model, {.page_size = 4, .max_sequences = sequences, .idle_share = {share}},
                                      requests, &stats));
      EXPECT_EQ(stats.prompt_tokens, 95);
    }
  }
}

// All sequences run to the end, so that one batch size is recorded.
TEST(Engine, RecordsItsStepsOnceWhereItIsToldWhatWillCome) {
  const auto model = small_model();
  const auto few_short = requests_of({3, 5}, 2), many_long = requests_of({90, 4}, 2);
  const auto recorded = [&](Engine& engine, const std::vector<Request>& requests, int64_t new_tokens = 10) {
    engine.generate(requests, {.max_new_tokens = new_tokens, .ignore_eos = true}, kKey);
    return engine.stats().graphs_recorded;
  };
  const EngineOptions config{.max_sequences = 4, .exact = true, .graphs = {true}};
  EngineOptions told = config;
  told.expected = {.longest = 100, .sequences = 4};
  Engine untold_engine(*model, config), told_engine(*model, told);
  for (Engine* engine : {&untold_engine, &told_engine}) {
    EXPECT_EQ(recorded(*engine, few_short), 1);
    EXPECT_EQ(recorded(*engine, few_short), 0);
  }
  EXPECT_EQ(recorded(untold_engine, many_long), 1);  // a bigger cache
  EXPECT_EQ(recorded(told_engine, many_long), 0);
  EXPECT_EQ(recorded(told_engine, many_long, 2000), 1);  // what was not expected is served too
}

TEST(Engine, GraphsAreMadeAnewWhereWhatTheyReadHasMoved) {
  const auto model = small_model();
  Engine engine(*model, {.max_sequences = 4, .exact = true, .graphs = {true}});
  const auto expect_right = [&](const std::vector<Request>& requests, const GenerationOptions& options) {
    Engine fresh(*model, {.exact = true});
    expect_equal(engine.generate(requests, options, kKey), fresh.generate(requests, options, kKey));
  };
  expect_right(requests_of({3, 4}, 2), kGeneration);
  expect_right(requests_of({60, 4, 5}, 2), kGeneration);  // more pages, longer tables
  GenerationOptions other = kGeneration;
  other.sampling.temperature = 0.3;
  other.sampling.top_k = 7;
  expect_right(requests_of({3, 4}, 2), other);
  for (const auto& [name, tensor] : model->parameters()) {
    const at::NoGradGuard no_grad;
    if (name.find("o_proj") != std::string::npos) at::Tensor(tensor).set_data(tensor * 1.5);
  }
  model->release_sampling_weights();
  expect_right(requests_of({3, 4}, 2), kGeneration);
}

TEST(GraphSizes, EndAtTheMostSequences) {
  EXPECT_THAT(graph_sizes(1), ::testing::ElementsAre(1));
  EXPECT_THAT(graph_sizes(9), ::testing::ElementsAre(1, 2, 4, 8, 9));
  EXPECT_THAT(graph_sizes(130), ::testing::ElementsAre(1, 2, 4, 8, 16, 32, 64, 96, 128, 130));
  EXPECT_EQ(graph_sizes(512).back(), 512);
}

TEST(Engine, NamesTheSampleWhoseLogitsAreNoNumbers) {
  const auto model = small_model();
  for (const auto& [name, tensor] : model->parameters()) {
    const at::NoGradGuard no_grad;
    if (name == "model.norm.weight") at::Tensor(tensor).fill_(std::numeric_limits<float>::quiet_NaN());
  }
  for (const int64_t steps : {0, 2}) {
    Engine engine(*model, {.steps_ahead = {steps}});
    try {
      auto requests = requests_of({4}, 1);
      requests[0].first_sample = 3;
      engine.generate(requests, kGeneration, kKey);
      FAIL() << "sampled from NaN";
    } catch (const base::Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("draw 100, sample 3, token 0"));
    }
  }
}

TEST(Engine, AGroupCanBeExtendedLater) {
  const auto model = small_model();
  auto requests = requests_of({5}, 4);
  const auto whole = generate(*model, {}, requests);
  requests[0].first_sample = 2;
  requests[0].num_samples = 2;
  const auto rest = generate(*model, {}, requests);
  EXPECT_EQ(rest[0].completions[0].ids, whole[0].completions[2].ids);
  EXPECT_EQ(rest[0].completions[1].ids, whole[0].completions[3].ids);
}

TEST(Engine, PrefillsAGroupsPromptOnce) {
  const auto model = small_model();
  EngineStats stats;
  generate(*model, {}, requests_of({30, 11}, 8), &stats);
  EXPECT_EQ(stats.prompt_tokens, 41);
}

TEST(Engine, EndsAtStopTokensOrAtTheLimit) {
  const auto model = small_model();
  const auto groups = generate(*model, {}, requests_of({4, 5, 6, 7, 8, 9}, 4));
  int stopped = 0;
  for (const auto& group : groups) {
    for (const auto& completion : group.completions) {
      ASSERT_FALSE(completion.ids.empty());
      EXPECT_EQ(completion.ids.size(), completion.log_probs.size());
      for (size_t t = 0; t + 1 < completion.ids.size(); ++t)
        EXPECT_TRUE(completion.ids[t] != 5 && completion.ids[t] != 6);
      const bool stop = completion.ids.back() == 5 || completion.ids.back() == 6;
      EXPECT_EQ(completion.finish_reason, stop ? FinishReason::kStop : FinishReason::kLength);
      EXPECT_TRUE(stop || completion.ids.size() == 24u);
      stopped += stop ? 1 : 0;
    }
  }
  EXPECT_GT(stopped, 0);
  EXPECT_LT(stopped, 24);
}

TEST(Engine, IgnoresStopTokensWhenAsked) {
  const auto model = small_model();
  GenerationOptions options = kGeneration;
  options.ignore_eos = true;
  Engine engine(*model, {});
  for (const auto& group : engine.generate(requests_of({4, 5, 6}, 4), options, kKey)) {
    for (const auto& completion : group.completions) {
      EXPECT_EQ(completion.ids.size(), 24u);
      EXPECT_EQ(completion.finish_reason, FinishReason::kLength);
    }
  }
}

TEST(Engine, ACompletionDependsOnSeedDrawAndSampleOnly) {
  const auto model = small_model();
  auto requests = requests_of({7, 7, 7}, 2);
  for (auto& request : requests) request.prompt_ids = requests[0].prompt_ids;
  requests[2].draw = requests[0].draw;
  const auto groups = generate(*model, {}, requests);
  EXPECT_EQ(groups[0].completions[0].ids, groups[2].completions[0].ids);
  EXPECT_EQ(groups[0].completions[1].ids, groups[2].completions[1].ids);
  EXPECT_NE(groups[0].completions[0].ids, groups[0].completions[1].ids);
  EXPECT_NE(groups[0].completions[0].ids, groups[1].completions[0].ids);
  Engine engine(*model, {.exact = true});
  const auto other = engine.generate(requests, kGeneration, {kKey.seed + 1, kKey.stream});
  EXPECT_NE(other[0].completions[0].ids, groups[0].completions[0].ids);
}

TEST(Engine, IsGreedyWithTopKOneAndWithTemperatureZero) {
  const auto model = small_model();
  const auto requests = requests_of({5, 18}, 2);
  GenerationOptions greedy = kGeneration;
  greedy.sampling.temperature = 0.0;
  GenerationOptions top_one = kGeneration;
  top_one.sampling.top_k = 1;
  Engine engine(*model, {.exact = true});
  const auto a = engine.generate(requests, greedy, kKey);
  const auto b = engine.generate(requests, top_one, kKey);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].completions[0].ids, a[i].completions[1].ids);
    EXPECT_EQ(a[i].completions[0].ids, b[i].completions[0].ids);
    EXPECT_EQ(a[i].completions[0].log_probs, b[i].completions[0].log_probs);  // before top-k
  }
}

TEST(Engine, SurvivesAnExceptionOfItsUser) {
  const auto model = small_model();
  Engine engine(*model, {.exact = true});
  const auto requests = requests_of({4, 5}, 2);
  EXPECT_THROW(engine.generate(requests, kGeneration, kKey, [](const Group&) { throw base::Error("stop"); }),
               base::Error);
  expect_equal(engine.generate(requests, kGeneration, kKey), generate(*model, {}, requests));
}

TEST(Engine, ReportsEachGroupOnceWhenItIsComplete) {
  const auto model = small_model();
  Engine engine(*model, {.max_sequences = 3});
  std::multiset<size_t> reported;
  const auto groups = engine.generate(requests_of({4, 5, 6, 7}, 2), kGeneration, kKey, [&](const Group& group) {
    reported.insert(group.request);
    for (const auto& completion : group.completions) EXPECT_FALSE(completion.ids.empty());
  });
  EXPECT_EQ(reported, (std::multiset<size_t>{0, 1, 2, 3}));
}

TEST(Engine, StopsEarlyWhenAskedAndCanBeUsedAgain) {
  const auto model = small_model();
  Engine engine(*model, {});
  int asked = 0;
  EXPECT_TRUE(engine.generate(requests_of({4, 5}, 2), kGeneration, kKey, {}, [&] { return ++asked > 3; }).empty());
  EXPECT_EQ(engine.generate(requests_of({4, 5}, 2), kGeneration, kKey).size(), 2u);
}

TEST(Engine, SaysWhatWouldFitWhenOneSequenceDoesNot) {
  const auto model = small_model();
  Engine engine(*model, {.page_size = 4, .num_pages = {5}});
  try {
    engine.generate(requests_of({20}, 1), kGeneration, kKey);
    FAIL() << "44 tokens fit 20";
  } catch (const base::ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("rollout.kv_memory_gb"));
  }
}

TEST(Engine, FitsWhereItGetsTheMemoryThatItAskedFor) {
  const auto model = small_model();
  for (size_t prompt = 4; prompt < 64; prompt += 4) {
    const auto requests = requests_of({prompt}, 1);
    double gigabytes = 1e-6;
    try {
      Engine(*model, {.page_size = 4, .kv_memory_gb = {gigabytes}}).generate(requests, kGeneration, kKey);
      ADD_FAILURE() << "a thousand bytes were enough";
    } catch (const base::ConfigError& error) {
      const std::string message = error.what(), before = "at least ";
      gigabytes = std::stod(message.substr(message.find(before) + before.size()));
    }
    EXPECT_NO_THROW(Engine(*model, {.page_size = 4, .kv_memory_gb = {gigabytes}}).generate(requests, kGeneration, kKey))
        << gigabytes << " GB for a prompt of " << prompt;
  }
}

TEST(Engine, TakesNoMoreThanItNeedsOfAnyBound) {
  const auto model = small_model();
  const auto requests = requests_of({20}, 1);
  const auto expected = Engine(*model, {}).generate(requests, kGeneration, kKey);
  expect_equal(Engine(*model, {.kv_memory_gb = {1e300}}).generate(requests, kGeneration, kKey), expected);
}

// Completions' log-probs against the trainer's for the same ids in one packed pass.
void expect_sampler_agrees_with_trainer(const models::CausalLM& model, const std::vector<Request>& requests,
                                        double tolerance) {
  Engine engine(model, {});
  GenerationOptions options = kGeneration;
  options.sampling.temperature = 0.8;
  for (const auto& group : engine.generate(requests, options, kKey)) {
    for (const auto& completion : group.completions) {
      auto ids = requests[group.request].prompt_ids;
      const auto prompt = static_cast<int64_t>(ids.size());
      ids.insert(ids.end(), completion.ids.begin(), completion.ids.end());
      const auto hidden = model.hidden_states(nn::PackedBatch::pack({ids}));
      const auto n = static_cast<int64_t>(completion.ids.size());
      const auto scored = nn::token_log_probs(hidden.narrow(0, prompt - 1, n), model.head_weight(),
                                              at::tensor(completion.ids, at::kLong), {.temperature = 0.8});
      const auto sampled = at::tensor(completion.log_probs, at::kFloat);
      EXPECT_LE((scored.log_probs - sampled).abs().max().item<double>(), tolerance);
    }
  }
}

void expect_small_sampler_agrees_with_trainer(at::ScalarType dtype, double tolerance) {
  expect_sampler_agrees_with_trainer(*small_model(dtype), requests_of({4, 19, 33}, 3), tolerance);
}

// Tolerance: fp32 sums in another order, over few layers; bf16 has 8 bits.
TEST(Engine, LogProbsEqualTheTrainersInFloat32) { expect_small_sampler_agrees_with_trainer(at::kFloat, 5e-5); }
TEST(Engine, LogProbsAgreeWithTheTrainersInBFloat16) { expect_small_sampler_agrees_with_trainer(at::kBFloat16, 0.15); }

TEST(GoldenSampler, LogProbsEqualTheTrainers) {
  for (const auto& folder : testing::golden_folders("models")) {
    SCOPED_TRACE(folder.string());
    const auto model = models::CausalLM::load(folder, at::kFloat, at::kCPU);
    expect_sampler_agrees_with_trainer(*model, requests_of({4, 21}, 2), 5e-5);
  }
}

// Pearson's statistic over many draws of one first token; 39 degrees of freedom, 99.99 % below 85.
TEST(Engine, SamplesTheModelsDistribution) {
  const auto model = small_model();
  auto requests = requests_of({6}, 20000);
  Engine engine(*model, {.max_sequences = 2048});
  GenerationOptions options = kGeneration;
  options.max_new_tokens = 1;
  const auto groups = engine.generate(requests, options, kKey);
  std::vector<double> counts(kVocabulary, 0.0);
  for (const auto& completion : groups[0].completions) counts[static_cast<size_t>(completion.ids[0])] += 1.0;
  const at::NoGradGuard no_grad;
  const auto hidden = model->hidden_states(nn::PackedBatch::pack({requests[0].prompt_ids}));
  const auto p = at::softmax(model->logits(hidden.narrow(0, 5, 1), false)[0], 0);
  double statistic = 0.0;
  for (int64_t v = 0; v < kVocabulary; ++v) {
    const double expected = 20000.0 * p[v].item<double>();
    statistic += std::pow(counts[static_cast<size_t>(v)] - expected, 2) / expected;
  }
  EXPECT_LT(statistic, 85.0);
}

// Whole sequences of each golden model, continued greedily without stopping.
TEST(GoldenGreedy, ContinuationsAgree) {
  for (const auto& folder : testing::golden_folders("models")) {
    const auto model = models::CausalLM::load(folder, at::kFloat, at::kCPU);
    for (const bool exact : {false, true}) {
      Engine engine(*model, {.exact = exact});
      testing::expect_golden_greedy(engine, folder);
    }
  }
}

}  // namespace
}  // namespace grpo::rollout
