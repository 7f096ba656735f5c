#include "trainer/metric_watch.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "support/message_of.h"
#include "support/thread_ranks.h"

namespace grpo::trainer {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

metrics::MetricsLine line(double accuracy, std::optional<double> mean = {}) {
  metrics::MetricsLine line;
  line.add("accuracy", accuracy);
  if (mean) line.add("eval/heldout/mean@4", *mean);
  return line;
}

TEST(Goal, IsReachedWhenTheMetricIsLargeEnough) {
  const StopOnConfig config{.metric = "accuracy", .at_least = 0.9};
  Goal goal(config);
  goal.look_at(1, line(0.5));
  EXPECT_THAT(goal.reached(), IsEmpty());
  goal.look_at(2, line(0.9));
  EXPECT_EQ(goal.reached(), "accuracy is 0.9, at least 0.9");
}

TEST(Goal, IsReachedWhenTheMetricIsNoLongerBetter) {
  const StopOnConfig config{.metric = "accuracy", .no_better_for = 3};
  Goal goal(config);
  int64_t step = 0;
  for (const double accuracy : {0.1, 0.5, 0.4, 0.5}) {
    goal.look_at(++step, line(accuracy));
    EXPECT_THAT(goal.reached(), IsEmpty());
  }
  goal.look_at(5, line(0.3));
  EXPECT_THAT(goal.reached(), HasSubstr("the 0.5 of step 2 for 3 steps"));
}

// Steps without an evaluation do not reach a goal that is about one.
TEST(Goal, WaitsForTheNextEvaluation) {
  const StopOnConfig config{.metric = "eval/heldout/mean@4", .no_better_for = 3};
  Goal goal(config);
  goal.look_at(1, line(0.1, 0.5));
  for (int64_t step = 2; step < 6; ++step) {
    goal.look_at(step, line(0.1));
    EXPECT_THAT(goal.reached(), IsEmpty());
  }
  goal.look_at(6, line(0.1, 0.4));
  EXPECT_THAT(goal.reached(), HasSubstr("for 5 steps"));
}

// A resume between two evaluations must not end a run that would have gone on to the next one.
TEST(Goal, IsNotReachedByAResumeBetweenEvaluations) {
  const StopOnConfig config{.metric = "eval/heldout/mean@4", .no_better_for = 6};
  Goal goal(config);
  goal.look_at(4, line(0.1, 0.5));
  goal.look_at(8, line(0.1, 0.4));
  for (int64_t step = 9; step <= 11; ++step) goal.look_at(step, line(0.1));
  EXPECT_THAT(goal.reached(), IsEmpty());
  Goal resumed(config);
  resumed.restore(nlohmann::json::parse(goal.to_json().dump()), 11);
  EXPECT_THAT(resumed.reached(), IsEmpty());
  resumed.look_at(12, line(0.1, 0.4));
  EXPECT_THAT(resumed.reached(), HasSubstr("for 8 steps"));
}

TEST(Goal, ComesBackFromACheckpointAndBowsToANewBound) {
  StopOnConfig config{.metric = "accuracy", .at_least = 0.8};
  Goal goal(config);
  goal.look_at(1, line(0.8));
  const auto saved = nlohmann::json::parse(goal.to_json().dump());
  Goal same(config);
  same.restore(saved, 1);
  EXPECT_EQ(same.reached(), goal.reached());
  config.at_least = 0.9;
  Goal higher(config);
  higher.restore(saved, 1);
  EXPECT_THAT(higher.reached(), IsEmpty());
  config.metric = "loss";
  Goal other(config);
  other.restore(saved, 1);
  EXPECT_THAT(other.reached(), IsEmpty());
}

// A goal about a speed, which each rank measures itself.
TEST(Goal, IsReachedByAllRanksInTheSameStep) {
  dist::run_ranks(2, [](dist::Communicator& communicator) {
    const StopOnConfig config{.metric = "speed", .at_least = 100.0};
    Goal goal(config);
    const std::vector<std::vector<double>> measured = {{90.0, 99.0, 101.0}, {91.0, 102.0, 98.0}};  // [rank][step]
    for (int64_t step = 1; step <= 3; ++step) {
      metrics::MetricsLine one;
      one.add("speed", measured[static_cast<size_t>(communicator.rank())][static_cast<size_t>(step) - 1]);
      take_from_rank_0({"", "speed"}, communicator, one);
      goal.look_at(step, one);
      EXPECT_EQ(goal.reached(), step < 3 ? "" : "speed is 101, at least 100") << "rank " << communicator.rank();
    }
  });
}

TEST(Goal, NamesTheNearestMetric) {
  const StopOnConfig config{.metric = "acuracy", .at_least = 0.9},
      of_set{.metric = "eval/held/mean@4", .at_least = 0.9};
  Goal goal(config), other(of_set);
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { goal.look_at(1, line(0.5)); }),
              HasSubstr("trainer.stop_on.metric: no metric of this run is called acuracy (did you mean accuracy?)"));
  other.look_at(1, line(0.5));
  const StopOnConfig of_time{.metric = "time/eval", .at_least = 1e9};
  EXPECT_NO_THROW(Goal(of_time).look_at(1, line(0.5)));
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { other.look_at(2, line(0.5, 0.4)); }),
              HasSubstr("no metric of this run is called eval/held/mean@4"));
}

TEST(Goal, IsSaidWholeOrNotAtAll) {
  EXPECT_THAT(testing::message_of<base::ConfigError>([] { validate_goal({.metric = "loss"}); }),
              HasSubstr("say when with at_least or no_better_for"));
  EXPECT_THAT(testing::message_of<base::ConfigError>([] { validate_goal({.at_least = 1.0}); }),
              HasSubstr("need trainer.stop_on.metric"));
  EXPECT_NO_THROW(validate_goal({}));
}

TEST(BestOf, TellsEachLargerValueAndItsStep) {
  BestOf best("accuracy");
  EXPECT_TRUE(best.look_at(1, line(-3.0)));
  EXPECT_FALSE(best.look_at(2, line(-3.0)));
  EXPECT_TRUE(best.look_at(3, line(-2.0)));
  EXPECT_EQ(best.step(), 3);
  BestOf restored("accuracy");
  restored.restore(nlohmann::json::parse(best.to_json().dump()));
  EXPECT_FALSE(restored.look_at(4, line(-2.5)));
  EXPECT_EQ(restored.value(), -2.0);
}

}  // namespace
}  // namespace grpo::trainer
