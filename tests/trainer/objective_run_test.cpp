// What a run learns from and when it ends, in whole runs of the quickstart model.
#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/metrics/metrics_file.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "support/paths.h"
#include "trainer/length_rules.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using checkpoint::Mark;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Lt;

class ObjectiveRun : public TinyRuns {
 protected:
  TrainConfig evaluated(const std::string& name) {
    auto made = config(name);
    made.eval = {.every_steps = 1,
                 .data = {(testing::source_dir() / "configs/quickstart/heldout.jsonl").string()},
                 .samples = 1};
    made.checkpoint = {.every_steps = 0, .keep = 1};
    return made;
  }
  std::vector<int64_t> checkpoints(const std::string& run) {
    return checkpoint::Store(folder(run) / "checkpoints").steps();
  }
  std::optional<int64_t> best(const std::string& run) {
    return checkpoint::Store(folder(run) / "checkpoints").marked(Mark::kBest);
  }
};

TEST_F(ObjectiveRun, TrainsTheDistributionThatWasSampledFrom) {
  const auto make = [this](const std::string& name) {
    auto made = config(name);
    made.rollout.sampling = {.temperature = 1.0, .top_p = 0.9, .top_k = 12};
    return made;
  };
  run(make("one"));
  run(make("two"));
  expect_equal_runs(folder("one"), folder("two"));
  for (const char* name : {"ratio/max", "clip_fraction", "kl/sampler"}) {
    const auto values = measures("one", name);
    const double expected = std::string(name) == "ratio/max" ? 1.0 : 0.0;
    for (size_t i = 0; i < values.size(); ++i) {
      if (measures("one", "groups/live")[i] == 0.0) continue;
      EXPECT_NEAR(values[i], expected, 1e-9) << name;
    }
  }
  // With several updates a step it is the entropy of the whole distribution, which is larger.
  auto several = make("several");
  several.trainer.epochs_per_step = 2;
  run(several);
  EXPECT_GT(measures("several", "entropy")[1], measures("one", "entropy")[1]);
}

TEST_F(ObjectiveRun, TakesWhatLengthCostsFromTheReward) {
  auto made = config("run");
  made.rollout.overlong = {.buffer = 16, .penalty = 0.5};
  run(made);
  double sum = 0.0;
  const auto rows = rollouts("run", 1);
  for (const auto& row : rows) {
    const auto length = static_cast<int64_t>(row.at("ids").size());
    const double cost = length <= 4 ? 0.0 : -0.5 * static_cast<double>(length - 4) / 16.0;
    EXPECT_NEAR(row.at("reward").get<double>(), (row.at("verdict") == "right" ? 1.0 : 0.0) + cost, 1e-12);
    sum += cost;
  }
  EXPECT_NEAR(measures("run", "reward/overlong/mean")[0], sum / static_cast<double>(rows.size()), 1e-12);
  EXPECT_GT(measures("run", "groups/live")[0], 0.0);  // without the penalty the first step has no live group
}

TEST_F(ObjectiveRun, GivesACompletionThatIsCutOffNoReward) {
  auto zero = config("zero"), plain = config("plain");
  for (auto* made : {&zero, &plain}) {
    made->rollout.max_new_tokens = 5;
    made->reward.terms = {{.type = reward::TermType::kLength, .weight = 1.0}};
  }
  zero.algorithm.truncated = Truncated::kZeroReward;
  run(zero);
  run(plain);
  int64_t cut = 0;
  for (const auto& row : rollouts("zero", 1)) {
    const bool truncated = row.at("finish_reason") == "length";
    cut += truncated ? 1 : 0;
    EXPECT_EQ(row.at("reward").get<double>(), truncated ? 0.0 : static_cast<double>(row.at("ids").size()));
  }
  EXPECT_GT(cut, 0);
  EXPECT_NE(measures("zero", "reward/mean")[0], measures("plain", "reward/mean")[0]);
}

TEST_F(ObjectiveRun, SubtractsTheKlFromTheReward) {
  auto made = config("reward");
  made.algorithm.kl = {.coef = 0.5, .in = KlIn::kReward, .estimator = algo::KlEstimator::kK1};
  made.algorithm.advantage.kind = algo::Advantage::kDrGrpo;
  run(made);
  auto in_loss = config("loss");
  in_loss.algorithm.kl = {.coef = 0.5};
  run(in_loss);
  // At first the policy is the reference, up to the rounding of sampler and trainer.
  EXPECT_NEAR(measures("reward", "kl/reference")[0], 0.0, 1e-5);
  const auto rows = rollouts("reward", 6);
  int64_t penalised = 0;
  for (size_t i = 0; i + 1 < rows.size(); i += 2) {
    const auto kept = [&](size_t at) {
      const double kl = rows[at].value("kl", 0.0);
      penalised += kl != 0.0 ? 1 : 0;
      return rows[at].at("reward").get<double>() - kl;
    };
    const double half = (kept(i) - kept(i + 1)) / 2.0;
    EXPECT_NEAR(rows[i].at("advantage").get<double>(), half, 1e-9);
    EXPECT_NEAR(rows[i + 1].at("advantage").get<double>(), -half, 1e-9);
  }
  EXPECT_GT(penalised, 0);
  EXPECT_NE(measures("reward", "grad_norm")[2], measures("loss", "grad_norm")[2]);
}

TEST_F(ObjectiveRun, MovesTheReferenceAndResumesWithIt) {
  const auto make = [this](const std::string& name, std::optional<int64_t> every) {
    auto made = config(name);
    made.algorithm.kl = {.coef = 0.5, .sync_every = every};
    return made;
  };
  run(make("one", 3));
  run(make("never", {}));
  const auto moved = measures("one", "kl/reference"), fixed = measures("never", "kl/reference");
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(moved[i], fixed[i]);
  EXPECT_NEAR(moved[3], 0.0, 1e-9);  // the reference has just been synced
  EXPECT_GT(fixed[3], 1e-6);
  EXPECT_NE(moved[4], fixed[4]);
  run(make("two", 3));
  fs::remove_all(folder("two") / "checkpoints" / "step_00000006");
  run(make("two", 3), "auto");  // goes on from step 4, after the sync
  expect_equal_runs(folder("one"), folder("two"));
  EXPECT_FALSE(fs::exists(folder("one") / "checkpoints" / "step_00000002" / "reference.safetensors"));
}

TEST_F(ObjectiveRun, EndsWhenItsGoalIsReached) {
  auto made = evaluated("run");
  made.trainer.stop_on = {.metric = "rollouts/total", .at_least = 40};  // 16 a step
  run(made);
  EXPECT_THAT(measures("run", "step"), ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(measures("run", "eval/heldout/mean@1").size(), 4u);  // the last step is evaluated
  EXPECT_THAT(checkpoints("run"), ElementsAre(3));               // and saved
  run(made, "auto");
  EXPECT_EQ(measures("run", "step").size(), 4u);  // it is finished
  made.trainer.stop_on = {.metric = "rollouts/total", .at_least = 60};
  run(made, "auto");
  EXPECT_THAT(measures("run", "step"), ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(ObjectiveRun, RefusesAGoalThatItDoesNotMeasure) {
  auto made = config("run");
  made.trainer.stop_on = {.metric = "rewards/mean", .at_least = 1};
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "never", .config_folder = ""}); }),
              HasSubstr("did you mean reward/mean?"));
}

TEST_F(ObjectiveRun, RefusesAnEvaluationsMetricThatItDoesNotHaveAfterTheFirstEvaluation) {
  auto made = evaluated("run");
  made.eval.every_steps = 3;
  made.checkpoint.keep_best = "eval/heldout/mean@2";
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { train(made, {.resume = "never", .config_folder = ""}); }),
              HasSubstr("checkpoint.keep_best: no metric of this run is called eval/heldout/mean@2"));
  EXPECT_THAT(measures("run", "step"), ElementsAre(0));
}

// metrics.jsonl has more than can be watched, which must not come out after a first step of hours.
TEST_F(ObjectiveRun, RefusesBeforeItBeginsWhatIsMeasuredTooLateToBeWatched) {
  const auto error_of = [](const TrainConfig& config) {
    return testing::message_of<base::ConfigError>([&] { validate(config); });
  };
  for (const std::string name : {"time/step", "time/cpu", "time/checkpoint", "memory/peak_bytes", "step", "time"}) {
    auto made = config("run"), best = config("run");
    made.trainer.stop_on = {.metric = name, .at_least = 1};
    best.checkpoint.keep_best = name;
    EXPECT_THAT(error_of(made), HasSubstr("trainer.stop_on.metric " + name + ": is "));
    EXPECT_THAT(error_of(best), HasSubstr("checkpoint.keep_best " + name + ": is "));
  }
}

TEST_F(ObjectiveRun, KeepsTheBestCheckpoint) {
  auto made = evaluated("run");
  made.checkpoint.keep_best = "eval/heldout/mean@1";
  run(made);
  const auto values = measures("run", "eval/heldout/mean@1");
  const auto largest = std::max_element(values.begin() + 1, values.end()) - values.begin();
  EXPECT_EQ(best("run"), largest);
  const auto kept = checkpoints("run");
  EXPECT_EQ(kept.back(), 6);
  EXPECT_EQ(kept.front(), largest);
  EXPECT_LE(kept.size(), 2u);
}

TEST_F(ObjectiveRun, KeepsTheBestOfTheCheckpointsThatAreWritten) {
  auto made = config("run");
  made.checkpoint = {.every_steps = 2, .keep = 1, .keep_best = "reward/mean"};
  run(made);
  const auto values = measures("run", "reward/mean");
  int64_t expected = 2;
  for (const int64_t step : {4, 6}) {
    if (values[static_cast<size_t>(step) - 1] > values[static_cast<size_t>(expected) - 1]) expected = step;
  }
  EXPECT_EQ(best("run"), expected);
}

// A signal ended the evaluation of the last step, so that its checkpoint does not know yet how good it is. Once the
// next start has made the evaluation it has to know, since that process may be killed before it saves another one.
TEST_F(ObjectiveRun, KeepsWhatAnInterruptedEvaluationFoundInItsCheckpoint) {
  auto made = evaluated("run");
  made.trainer.steps = 2;
  made.trainer.stop_on = {.metric = "eval/heldout/mean@1", .no_better_for = 100};
  made.checkpoint.keep_best = "eval/heldout/mean@1";
  run(made);
  checkpoint::Store store(folder("run") / "checkpoints");
  auto files = files_below(store.path_of(2));
  const auto whole = Json::parse(files.at("state.json"));
  auto state = whole;
  state["evaluated"] = false;
  state["line"].clear();
  for (const auto& entry : whole.at("line")) {
    if (!entry.at(0).get<std::string>().starts_with("eval/")) state["line"].push_back(entry);
  }
  for (const char* key : {"goal", "best"}) state[key].update({{"value", 0.0}, {"step", -1}});
  files["state.json"] = state.dump();
  files.erase("MANIFEST");
  store.save(2, {.keep = 1}, [&](const fs::path& folder) {
    for (const auto& [name, bytes] : files) {
      fs::create_directories((folder / name).parent_path());
      io::write_file_atomic(folder / name, bytes);
    }
  });
  store.mark(Mark::kBest, std::nullopt);
  metrics::cut_back(folder("run") / "metrics.jsonl", 1);
  run(made, "auto");
  const auto again = io::read_json(store.path_of(2) / "state.json");
  EXPECT_TRUE(again.at("evaluated"));
  EXPECT_EQ(again.at("best").at("step"), 2);
  EXPECT_EQ(again.at("best").at("value"), measures("run", "eval/heldout/mean@1").back());
  EXPECT_EQ(again.at("goal").at("step"), 2);
  EXPECT_EQ(again.at("line").size(), whole.at("line").size());
  EXPECT_EQ(best("run"), 2);
}

// The best value of the other run belongs to a checkpoint that the fork does not have.
TEST_F(ObjectiveRun, AForkKeepsABestCheckpointOfItsOwn) {
  auto made = config("run");
  made.checkpoint = {.every_steps = 2, .keep = 1, .keep_best = "rollouts"};  // which stays the same
  made.trainer.steps = 2;
  run(made);
  EXPECT_EQ(best("run"), 2);
  const std::string checkpoint = checkpoint::Store(folder("run") / "checkpoints").path_of(2).string();
  made.run.output = (dir_.path() / "fork").string();
  made.trainer.steps = 6;
  EXPECT_EQ(train(made, {.fork = checkpoint, .config_folder = ""}), Outcome::kFinished);
  EXPECT_EQ(best("fork"), 4);
}

TEST(OverlongPenalty, RisesEvenlyInsideTheBuffer) {
  const RolloutConfig config{.max_new_tokens = 100, .overlong = {.buffer = 20, .penalty = 2.0}};
  EXPECT_EQ(overlong_penalty(config, 80), 0.0);
  EXPECT_DOUBLE_EQ(overlong_penalty(config, 81), -0.1);
  EXPECT_DOUBLE_EQ(overlong_penalty(config, 100), -2.0);
  EXPECT_EQ(overlong_penalty({.max_new_tokens = 100}, 100), 0.0);
}

}  // namespace
}  // namespace grpo::trainer
