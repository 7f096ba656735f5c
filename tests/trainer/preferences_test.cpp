#include "trainer/preferences.h"

#include <gmock/gmock.h>

#include <numeric>

#include "trainer/live_rollouts.h"

namespace grpo::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Each call of add() adds a group of rollouts with these advantages.
class Preferences : public ::testing::Test {
 protected:
  void add(const std::vector<double>& advantages) {
    for (size_t sample = 0; sample < advantages.size(); ++sample) {
      Rollout rollout{
          .prompt = groups_, .sample = static_cast<int64_t>(sample), .completion = {}, .text = {}, .score = {}};
      rollout.advantage = advantages[sample];
      rollouts_.push_back(rollout);
    }
    ++groups_;
  }
  std::vector<std::pair<size_t, float>> found() const {
    std::vector<std::pair<size_t, float>> pairs;
    for (const auto& [rollout, value] : preferences_of(config_, rollouts_, all())) pairs.emplace_back(rollout, value);
    return pairs;
  }
  double scale() const { return scale_of_groups(config_, rollouts_, all()); }
  std::vector<size_t> all() const {
    std::vector<size_t> indices(rollouts_.size());
    std::iota(indices.begin(), indices.end(), size_t{0});
    return indices;
  }
  void logistic() { config_.algorithm.policy.loss = algo::Loss::kPairLogistic; }
  void online() { config_.algorithm.method = MethodKind::kOnlineDpo; }

  TrainConfig config_;
  std::vector<Rollout> rollouts_;
  size_t groups_ = 0;
};

using Pair = std::pair<size_t, float>;

TEST_F(Preferences, OfGroupsAreAllThatAreComparedOrTheBestAndTheWorst) {
  add({0.0, 0.0});
  add({-0.5, 1.5, -0.5, 1.5, 0.0});
  logistic();
  EXPECT_THAT(found(), ElementsAre(Pair{2, -0.5f}, Pair{3, 1.5f}, Pair{4, -0.5f}, Pair{5, 1.5f}, Pair{6, 0.0f}));
  online();
  EXPECT_THAT(found(), ElementsAre(Pair{2, -1.0f}, Pair{3, 1.0f}));  // the first of each, in the batch's order
  EXPECT_THAT(live_rollouts(config_, {.prompts = {}, .rollouts = rollouts_, .group_offsets = {}}, all()),
              ElementsAre(2u, 3u));
}

TEST_F(Preferences, LeaveOutWhatHasNoPartInTheLoss) {
  add({1.0, -1.0, 0.5});
  rollouts_[0].score.failure = "no answer";
  online();
  EXPECT_THAT(found(), ElementsAre(Pair{1, -1.0f}, Pair{2, 1.0f}));
  rollouts_[2].completion.finish_reason = rollout::FinishReason::kLength;
  EXPECT_THAT(found(), ElementsAre(Pair{1, -1.0f}, Pair{2, 1.0f}));
  config_.algorithm.truncated = Truncated::kMask;
  EXPECT_THAT(found(), IsEmpty());  // one alone is no pair
}

TEST_F(Preferences, OfAnExtendedGroupMayBeThoseOfItsLastExtension) {
  add({0.0, 0.0, 1.0, -1.0});
  config_.rollout.adaptive = {.mode = AdaptiveMode::kExtend, .choices = {2, 4}};
  logistic();
  EXPECT_EQ(found().size(), 4u);
  config_.rollout.adaptive.advantage_from = AdvantageFrom::kLastExtension;
  EXPECT_THAT(found(), ElementsAre(Pair{2, 1.0f}, Pair{3, -1.0f}));
}

TEST_F(Preferences, AreScaledByTheNumberOfGroups) {
  EXPECT_EQ(scale(), 0.0);
  add({1.0, -1.0});
  add({0.0, 0.0});
  add({-1.0, 1.0});
  add({0.0, 0.0});
  for (const bool sampled : {true, false}) {
    if (sampled) online();
    config_.algorithm.denominator = algo::DenominatorScope::kAll;
    EXPECT_EQ(scale(), 1.0 / 4.0);
    config_.algorithm.denominator = algo::DenominatorScope::kLive;
    EXPECT_EQ(scale(), 1.0 / 2.0);
  }
}

}  // namespace
}  // namespace grpo::trainer
