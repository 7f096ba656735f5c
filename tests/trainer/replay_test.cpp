#include "grpo/trainer/replay.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/trainer/gradient_variance.h"
#include "support/message_of.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

using ::testing::HasSubstr;

size_t index_of(const std::string& name) {
  const auto names = replayed_algorithms();
  const auto found = std::find(names.begin(), names.end(), name);
  EXPECT_NE(found, names.end()) << name;
  return static_cast<size_t>(found - names.begin());
}

class Replay : public TinyRuns {
 protected:
  TrainConfig recorded(const std::string& name) const {
    auto config = this->config(name);
    config.checkpoint.every_steps = 1;
    config.rollout.prompts_per_step = 16;
    return config;
  }
  std::vector<ReplayedStep> replayed(const std::string& name, std::vector<int64_t> steps = {}) const {
    return replay({.run = folder(name).string(), .steps = std::move(steps), .threads = 1});
  }
};

// The norms must be those that the run reported at each step.
TEST_F(Replay, TheRunsOwnGradientIsTheOneThatItTook) {
  auto config = recorded("run");
  config.algorithm.entropy_coef = 0.01;
  run(config);
  const auto steps = replayed("run");
  const auto norms = measures("run", "grad_norm");
  ASSERT_EQ(steps.size(), 6U);
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].step, static_cast<int64_t>(i + 1));
    EXPECT_EQ(steps[i].rollouts, 32);
    EXPECT_EQ(steps[i].sampled, 32);
    EXPECT_NEAR(steps[i].norms[0], norms[i], 1e-4 * norms[i]) << i;
  }
}

// Groups that were replaced by those of fresh prompts count in no denominator of the step.
TEST_F(Replay, OfAStepThatReplacedGroupsIsTheGradientThatItTook) {
  auto config = recorded("resampled");
  config.rollout.prompts_per_step = 8;
  config.rollout.resample.max_rollouts = 400;
  config.trainer.steps = 3;
  run(config);
  const auto steps = replayed("resampled");
  const auto norms = measures("resampled", "grad_norm");
  ASSERT_EQ(steps.size(), 3U);
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_GT(steps[i].groups, 8);
    EXPECT_EQ(steps[i].live, 8);
    EXPECT_NEAR(steps[i].norms[0], norms[i], 1e-4 * norms[i]) << i;
  }
}

// With rewards of 0 and 1 every live pair has advantages +-a, so that estimators differ only by a factor. On the policy
// that sampled, the losses agree too. What is left is the aggregation.
TEST_F(Replay, PairsHaveOneDirectionWhateverTheEstimator) {
  run(recorded("pairs"));
  const auto step = replayed("pairs", {3}).front();
  ASSERT_GT(step.live, 0);
  const auto cosine = [&](const char* a, const char* b) { return step.cosines[index_of(a)][index_of(b)]; };
  EXPECT_NEAR(cosine("dr_grpo", "rloo"), 1.0, 1e-5);
  EXPECT_NEAR(cosine("grpo", "gspo"), 1.0, 1e-5);
  EXPECT_NEAR(cosine("dapo", "cispo"), 1.0, 1e-5);
  EXPECT_NEAR(cosine("run", "dapo"), 1.0, 1e-5);   // the run's own settings are dapo's
  EXPECT_NEAR(cosine("pair", "rloo"), 1.0, 1e-5);  // GRPO of pairs is a contrast of pairs: the paper's claim
  EXPECT_GT(cosine("online_dpo", "rloo"), 0.9);
  EXPECT_LT(cosine("grpo", "rloo"), 1.0 - 1e-6);  // a mean over tokens is another weighting of the pairs
  EXPECT_NEAR(step.norms[index_of("rloo")] / step.norms[index_of("dr_grpo")], 2.0 * 20.0, 0.02);  // +-1 and +-0.5 / 20
}

TEST_F(Replay, LossesDifferAtOtherWeightsThanThoseThatSampled) {
  auto config = recorded("later");
  config.optimizer.lr = 1e-2;
  run(config);
  const auto there = replay({.run = folder("later").string(), .steps = {2}, .at = 1, .threads = 1}).front();
  const auto later = replay({.run = folder("later").string(), .steps = {2}, .at = 6, .threads = 1}).front();
  const size_t clip = index_of("dapo"), cispo = index_of("cispo");
  EXPECT_NEAR(there.cosines[clip][cispo], 1.0, 1e-5);
  EXPECT_LT(later.cosines[clip][cispo], 0.999);
}

TEST_F(Replay, TouchesNothingAndSaysWhatIsMissing) {
  auto config = recorded("kept");
  config.checkpoint.every_steps = 2;
  run(config);
  const auto before = files_below(folder("kept"));
  replayed("kept", {1, 3});
  EXPECT_EQ(files_below(folder("kept")), before);
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { replayed("kept", {4}); }),
              HasSubstr("there are those after 0, 2, 4, 6"));
  EXPECT_THAT(testing::message_of<base::IoError>([&] { replayed("kept", {9}); }), HasSubstr("step_00000009.jsonl"));
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { replay({.run = dir_.path().string(), .steps = {1}}); }),
              HasSubstr("not a run"));
}

class Variance : public TinyRuns {
 protected:
  VarianceOf measured(algo::Advantage advantage) const {
    auto config = this->config("variance");
    config.algorithm.advantage.kind = advantage;
    config.algorithm.aggregation = algo::Aggregation::kSeqMeanTokenSum;
    return gradient_variance(config, "", {.group_sizes = {2}, .rollouts = {16}, .redraws = 16}).front();
  }
};

// rloo's advantages of a pair are twice dr_grpo's, on the same samples.
TEST_F(Variance, GrowsWithTheSquareOfTheAdvantages) {
  const auto once = measured(algo::Advantage::kDrGrpo), twice = measured(algo::Advantage::kRloo);
  EXPECT_EQ(once.prompts, 8);
  ASSERT_GT(once.variance, 0.0);
  EXPECT_NEAR(twice.variance / once.variance, 4.0, 1e-4);
  EXPECT_NEAR(twice.error / once.error, 4.0, 1e-4);
  EXPECT_EQ(twice.live_share, once.live_share);
}

TEST_F(Variance, RefusesGroupsThatDoNotDivideTheRollouts) {
  EXPECT_THAT(testing::message_of<base::ConfigError>(
                  [&] { gradient_variance(config("refused"), "", {.group_sizes = {3}, .rollouts = {16}}); }),
              HasSubstr("is no multiple of the group size 3"));
  for (const int64_t none : {0, -16}) {
    EXPECT_THROW(gradient_variance(config("refused"), "", {.group_sizes = {2}, .rollouts = {none}}), base::ConfigError);
  }
}

TEST_F(Variance, RefusesWhatItWouldMeasureAsIfItWereOff) {
  const auto refusal = [](const TrainConfig& config) {
    return testing::message_of<base::ConfigError>(
        [&] { gradient_variance(config, "", {.group_sizes = {2}, .rollouts = {16}, .redraws = 16}); });
  };
  auto critic = config("critic");
  critic.algorithm.method = MethodKind::kPpo;
  EXPECT_THAT(refusal(critic), HasSubstr("algorithm.method: ppo"));
  auto kl = config("kl");
  kl.algorithm.kl = {.coef = 0.1, .in = KlIn::kReward};
  EXPECT_THAT(refusal(kl), HasSubstr("algorithm.kl.in: reward"));
}

}  // namespace
}  // namespace grpo::trainer
