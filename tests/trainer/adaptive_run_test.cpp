// Groups that differ in size or number, in whole runs of the quickstart model.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

#include "grpo/io/file.h"
#include "support/golden.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Ge;
using ::testing::Le;

class AdaptiveRun : public TinyRuns {
 protected:
  TrainConfig resampling(const std::string& name, int64_t most = 400) {
    auto made = config(name);
    made.rollout.resample.max_rollouts = most;
    return made;
  }
  TrainConfig extending(const std::string& name) {
    auto made = config(name);
    made.rollout.adaptive = {.mode = AdaptiveMode::kExtend, .choices = {2, 4, 8}};
    return made;
  }
  // Makes the same run twice, then repeats the second one from its checkpoint of step 2, and expects equal bits.
  template <typename Make>
  void expect_repeats(const Make& make) {
    run(make("one"));
    run(make("two"));
    expect_equal_runs(folder("one"), folder("two"));
    for (const char* step : {"step_00000006", "step_00000004"}) fs::remove_all(folder("two") / "checkpoints" / step);
    run(make("two"), "auto");
    expect_equal_runs(folder("one"), folder("two"));
  }

  // The rollouts of a step, group after group.
  std::vector<std::vector<Json>> groups(const std::string& run, int step) {
    std::vector<std::vector<Json>> groups;
    for (const auto& row : rollouts(run, step)) {
      if (row.at("sample") == 0) groups.emplace_back();
      groups.back().push_back(row);
    }
    return groups;
  }
  static bool mixed(const std::vector<Json>& group) {
    return std::any_of(group.begin(), group.end(),
                       [&](const Json& row) { return row.at("reward") != group.front().at("reward"); });
  }
  Json state(const std::string& run, const std::string& checkpoint) {
    return Json::parse(io::read_file(folder(run) / "checkpoints" / checkpoint / "state.json"));
  }
};

TEST_F(AdaptiveRun, ReplacesTiedGroupsUntilTheStepHasItsLiveOnes) {
  run(resampling("run"));
  const auto asked = measures("run", "groups/asked"), live = measures("run", "groups/live"),
             replaced = measures("run", "groups/replaced"), rollouts = measures("run", "rollouts");
  double draws = 0.0;
  for (int step = 1; step <= 6; ++step) {
    const auto i = static_cast<size_t>(step - 1);
    EXPECT_EQ(live[i], 8.0);
    EXPECT_EQ(replaced[i], asked[i] - 8.0);
    EXPECT_EQ(rollouts[i], 2.0 * asked[i]);
    const auto all = groups("run", step);
    EXPECT_EQ(static_cast<double>(all.size()), asked[i]);
    EXPECT_TRUE(mixed(all.back()));  // the last fresh prompt was asked for the last live group
    draws += asked[i];
  }
  EXPECT_GT(draws, 48.0);
  EXPECT_EQ(state("run", "step_00000006").at("next_draw"), draws);
}

// In the first step, in which the weights are the same, the groups are those of a plain run that asks as many prompts.
TEST_F(AdaptiveRun, AsksTheNextDrawsAsAPlainRunWould) {
  run(resampling("resampled"));
  auto plain = config("plain");
  const auto asked = static_cast<int64_t>(measures("resampled", "groups/asked")[0]);
  ASSERT_GT(asked, 8);
  plain.rollout.prompts_per_step = asked;
  plain.trainer.steps = 1;
  run(plain);
  const auto some = groups("resampled", 1), all = groups("plain", 1);
  ASSERT_EQ(some.size(), all.size());
  for (size_t q = 0; q < all.size(); ++q) {
    for (size_t i = 0; i < 2; ++i) EXPECT_EQ(some[q][i].at("ids"), all[q][i].at("ids"));
  }
}

// Groups that were replaced have no part in the update: it is the same as in a step with the live groups alone.
TEST_F(AdaptiveRun, LearnsFromTheLiveGroupsAlone) {
  run(resampling("all"));
  auto live = resampling("live");
  live.algorithm.denominator = algo::DenominatorScope::kLive;
  run(live);
  EXPECT_EQ(measures("all", "grad_norm"), measures("live", "grad_norm"));
}

// The KL differs from completion to completion, so with it in the rewards tied groups would have advantages too.
TEST_F(AdaptiveRun, ReplacedGroupsHaveNoPartAlsoWithAKlInTheRewards) {
  auto made = resampling("run");
  made.algorithm.kl = {.coef = 0.1, .in = KlIn::kReward};
  made.optimizer.lr = 1e-5;  // the policy stays as it is, so that every step finds its live groups
  made.trainer.updates_per_step = 4;
  made.trainer.steps = 3;
  run(made);
  EXPECT_THAT(measures("run", "groups/live"), Each(8.0));
  for (int step = 1; step <= 3; ++step) {
    double tokens = 0.0, tied = 0.0;
    for (const auto& group : groups("run", step)) {
      tied += mixed(group) ? 0.0 : 1.0;
      for (const Json& row : group) {
        EXPECT_EQ(row.at("advantage") != 0.0, mixed(group));
        if (mixed(group)) tokens += static_cast<double>(row.at("ids").size());
      }
    }
    const auto i = static_cast<size_t>(step - 1);
    EXPECT_GT(tied, 0.0);
    EXPECT_EQ(measures("run", "groups/replaced")[i], tied);
    EXPECT_EQ(measures("run", "tokens/trained")[i], tokens);
  }
}

TEST_F(AdaptiveRun, GoesOnWithWhatThereIsWhenTheRolloutsAreUsed) {
  run(resampling("run", 20));
  EXPECT_THAT(measures("run", "groups/asked"), Each(Le(10.0)));
  EXPECT_THAT(measures("run", "groups/asked"), Contains(10.0));
  EXPECT_THAT(measures("run", "groups/live"), Contains(::testing::Lt(8.0)));
}

TEST_F(AdaptiveRun, MakesOnlyTheDrawsItAsksHoweverManyItMay) {
  auto made = resampling("run", 1'000'000'000'000);
  made.data.order = data::Order::kUncertain;
  made.trainer.steps = 2;
  run(made);
  EXPECT_THAT(measures("run", "groups/live"), Each(8.0));
}

TEST_F(AdaptiveRun, RepeatsAndResumesWhenItReplacesGroups) {
  expect_repeats([this](const std::string& name) { return resampling(name); });
}

// Without exact sampling completions depend on their batch, so fresh prompts must join at the same decode step each
// time.
TEST_F(AdaptiveRun, RepeatsAndResumesWithoutExactSampling) {
  expect_repeats([this](const std::string& name) {
    auto made = resampling(name);
    made.rollout.exact = false;
    made.rollout.max_sequences = {6};  // what joins changes the batch of others
    return made;
  });
}

TEST_F(AdaptiveRun, StreamsTheUpdateBesideFreshPrompts) {
  expect_repeats([this](const std::string& name) {
    auto made = resampling(name);
    made.rollout.exact = false;
    made.trainer.stream_update = true;
    made.trainer.micro_batch_tokens = 60;
    return made;
  });
  EXPECT_THAT(measures("one", "groups/live"), Each(8.0));
}

TEST_F(AdaptiveRun, ExtendsTiedGroupsAlone) {
  run(extending("run"));
  std::set<size_t> sizes;
  double extended = 0.0;
  for (int step = 1; step <= 6; ++step) {
    const auto all = groups("run", step);
    ASSERT_EQ(all.size(), 8u);
    for (const auto& group : all) {
      sizes.insert(group.size());
      if (group.size() == 8) continue;
      EXPECT_TRUE(mixed(group));  // else it had grown
      const std::vector<Json> before(group.begin(), group.begin() + static_cast<int64_t>(group.size() / 2));
      EXPECT_TRUE(group.size() == 2 || !mixed(before));
    }
    extended +=
        static_cast<double>(std::count_if(all.begin(), all.end(), [](const auto& group) { return group.size() > 2; }));
  }
  EXPECT_EQ(sizes, (std::set<size_t>{2, 4, 8}));
  const auto counted = measures("run", "groups/extended");
  EXPECT_EQ(std::accumulate(counted.begin(), counted.end(), 0.0), extended);
  EXPECT_GT(extended, 0.0);
}

TEST_F(AdaptiveRun, ExtensionsAreTheFurtherSamplesOfALargeGroup) {
  run(extending("grown"));
  auto large = config("large");
  large.rollout.group_size = 8;
  large.trainer.steps = 1;
  run(large);
  const auto grown = groups("grown", 1), all = groups("large", 1);
  for (size_t q = 0; q < all.size(); ++q) {
    for (size_t i = 0; i < grown[q].size(); ++i) {
      EXPECT_EQ(grown[q][i].at("sample"), i);
      EXPECT_EQ(grown[q][i].at("ids"), all[q][i].at("ids"));
    }
  }
}

TEST_F(AdaptiveRun, RepeatsAndResumesWhenItExtendsGroups) {
  expect_repeats([this](const std::string& name) { return extending(name); });
}

TEST_F(AdaptiveRun, ExtendsTheFirstTiedGroupsWhenRolloutsAreScarce) {
  expect_repeats([this](const std::string& name) {
    auto made = extending(name);
    made.rollout.adaptive.max_rollouts = 20;
    return made;
  });
  EXPECT_THAT(measures("one", "rollouts"), Each(Le(20.0)));
  for (const auto& group : groups("one", 1)) {
    if (!mixed(group) && group.size() == 2) break;
    EXPECT_TRUE(mixed(group) || group.size() > 2);
  }
}

TEST_F(AdaptiveRun, ComparesTheLastExtensionAloneWhereItIsAskedTo) {
  auto last = extending("last");
  last.rollout.adaptive.advantage_from = AdvantageFrom::kLastExtension;
  run(last);
  run(extending("all"));
  int64_t grown = 0;
  for (const auto& group : groups("last", 1)) {
    const size_t first = group.size() > 2 ? group.size() / 2 : 0;
    double sum = 0.0;
    for (size_t i = 0; i < group.size(); ++i) {
      EXPECT_TRUE(i >= first || group[i].at("advantage") == 0.0);
      sum += group[i].at("advantage").get<double>();
    }
    EXPECT_NEAR(sum, 0.0, 1e-9);  // advantages of those that are compared add up to 0
    grown += group.size() > 2 ? 1 : 0;
  }
  EXPECT_GT(grown, 0);
  EXPECT_NE(measures("last", "grad_norm")[0], measures("all", "grad_norm")[0]);
}

TEST_F(AdaptiveRun, PredictsSizesFromWhatItHasSeen) {
  const auto make = [this](const std::string& name) {
    auto made = config(name);
    made.rollout.adaptive.mode = AdaptiveMode::kPredict;
    made.rollout.adaptive.choices = {2, 4, 8};
    made.data.train = {(dir_.path() / "few.jsonl").string()};
    return made;
  };
  const auto lines = testing::read_jsonl(tiny_config("").data.train.front().path.front());
  std::string few;
  for (size_t i = 0; i < 8; ++i) few += lines[i].dump() + "\n";
  io::write_file_atomic(dir_.path() / "few.jsonl", few);
  expect_repeats(make);
  for (const auto& group : groups("one", 1)) EXPECT_EQ(group.size(), 2u);  // nothing is known yet
  std::set<size_t> sizes;
  for (int step = 2; step <= 6; ++step) {
    for (const auto& group : groups("one", step)) sizes.insert(group.size());
  }
  EXPECT_GT(sizes.size(), 1u);
}

TEST_F(AdaptiveRun, LearnsFromOneRolloutAPrompt) {
  const auto make = [this](const std::string& name) {
    auto made = config(name);
    made.rollout.prompts_per_step = 16;
    made.rollout.group_size = 1;
    return made;
  };
  expect_repeats(make);
  EXPECT_THAT(measures("one", "grad_norm"), Contains(::testing::Gt(0.0)).Times(Ge(4)));
  const auto all = groups("one", 1);
  ASSERT_EQ(all.size(), 16u);
  double sum = 0.0;
  for (const auto& group : all) sum += group[0].at("reward").get<double>();
  std::vector<double> x;
  for (const auto& group : all) {
    const double reward = group[0].at("reward");
    const double others = (sum - reward) / 15.0;  // no prompt has a value yet
    EXPECT_NEAR(group[0].at("baseline").get<double>(), others, 1e-12);
    x.push_back(reward - others);
  }
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / 16.0;
  double squares = 0.0;
  for (const double value : x) squares += (value - mean) * (value - mean);
  for (size_t q = 0; q < all.size(); ++q)
    EXPECT_NEAR(all[q][0].at("advantage").get<double>(), x[q] / (std::sqrt(squares / 16.0) + 1e-6), 1e-9);
}

TEST_F(AdaptiveRun, LeavesOutNearlyCertainTokensOfFailures) {
  auto filtered = config("filtered");
  filtered.algorithm.negative_tokens = NegativeTokens::kFiltered;
  run(filtered);
  run(config("all"));
  // The first step has no live group. The second is the first that changes the weights.
  EXPECT_EQ(measures("filtered", "reward/mean")[1], measures("all", "reward/mean")[1]);
  EXPECT_NE(measures("filtered", "grad_norm")[1], measures("all", "grad_norm")[1]);
}

TEST_F(AdaptiveRun, AsksUncertainProblemsAndResumes) {
  const auto make = [this](const std::string& name) {
    auto made = config(name);
    made.data.order = data::Order::kUncertain;
    return made;
  };
  expect_repeats(make);
  run(config("shuffled"));
  const auto ids = [this](const std::string& run) {
    std::set<std::string> ids;
    for (const auto& group : groups(run, 1)) ids.insert(group[0].at("prompt_id").get<std::string>());
    return ids;
  };
  EXPECT_NE(ids("one"), ids("shuffled"));
  EXPECT_EQ(ids("one").size(), 8u);
}

}  // namespace
}  // namespace grpo::trainer
