// Whole runs that go wrong: what ends, what is kept, and what is offered.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/file.h"
#include "support/message_of.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DivergedRun : public ::testing::Test {
 protected:
  void SetUp() override { base::set_quiet(true); }

  // The error that the run ends with; empty when it finishes.
  static std::string error_of(const TrainConfig& config, const std::string& resume = "auto") {
    try {
      train(config, {.resume = resume, .config_folder = ""});
      return "";
    } catch (const base::Error& error) {
      return error.what();
    }
  }

  // Rewards that differ in the first six steps, and are always 0 from the seventh on: the answers cannot be reached.
  TrainConfig with_lost_rewards() const {
    auto config = tiny_config(dir_.path());
    const std::string rows = io::read_file(config.data.train.front().path.front());
    std::string text;
    size_t at = 0;
    for (int row = 0; row < 8 * 30; ++row) {
      auto problem = nlohmann::json::parse(rows.substr(at, rows.find('\n', at) - at));
      if (row >= 8 * 6) problem["answer"] = "123456789";
      text += problem.dump() + "\n";
      at = rows.find('\n', at) + 1;
    }
    io::write_file_atomic(dir_.path() / "rows.jsonl", text);
    config.data.train = {(dir_.path() / "rows.jsonl").string()};
    config.data.shuffle = false;
    config.optimizer.lr = 1e-6;  // so that the model changes very little
    config.trainer.steps = 20;
    config.checkpoint.every_steps = 1;
    config.checkpoint.keep = 2;
    config.trainer.stop_on.signs = {"non_finite", "constant_reward"};
    return config;
  }

  std::vector<int64_t> steps() const { return checkpoint::Store(run_ / "checkpoints").steps(); }

  testing::TempDir dir_;
  fs::path run_ = dir_.path() / "tiny";
};

TEST_F(DivergedRun, EndsOnASignOfStopOnAndOffersTheLastGoodCheckpoint) {
  const std::string error = error_of(with_lost_rewards());
  EXPECT_THAT(error, AllOf(HasSubstr("step 16: every reward has been 0 since step 7"), HasSubstr("--resume "),
                           HasSubstr("step_00000005)")));
  EXPECT_THAT(steps(),
              ElementsAre(5, 14, 15));  // the pinned one and the two newest; none of the step that ended the run
  EXPECT_EQ(checkpoint::Store(run_ / "checkpoints").marked(checkpoint::Mark::kGood), 5);
  EXPECT_EQ(testing::read_jsonl(run_ / "diverged" / "step_00000016.jsonl").size(), 16u);
  EXPECT_EQ(testing::read_jsonl(run_ / "metrics.jsonl").back().at("step"), 16);
}

TEST_F(DivergedRun, OnlyWarnsOfASignThatStopOnDoesNotName) {
  auto config = with_lost_rewards();
  config.trainer.stop_on.signs = {};
  EXPECT_EQ(error_of(config), "");
  EXPECT_THAT(steps(), ElementsAre(5, 19, 20));
  EXPECT_TRUE(fs::exists(run_ / "diverged" / "step_00000016.jsonl"));
}

TEST_F(DivergedRun, ThatWasInterruptedEndsAtTheSameStep) {
  auto config = with_lost_rewards();
  config.trainer.steps = 10;
  EXPECT_EQ(error_of(config), "");
  config.trainer.steps = 20;
  EXPECT_THAT(error_of(config), HasSubstr("step 16: every reward has been 0 since step 7"));
}

// What is kept must not depend on whether the run was interrupted before the sign had lasted long enough to be noticed.
TEST_F(DivergedRun, ThatWasInterruptedKeepsItsLastGoodCheckpoint) {
  auto config = with_lost_rewards();
  for (const int64_t last : {8, 12}) {
    config.trainer.steps = last;
    EXPECT_EQ(error_of(config), "");
  }
  EXPECT_THAT(steps(), ElementsAre(5, 11, 12));
  config.trainer.steps = 20;
  EXPECT_THAT(error_of(config), HasSubstr("step_00000005)"));
  EXPECT_THAT(steps(), ElementsAre(5, 14, 15));
}

// With one checkpoint at a time, the last good one has made room for the one after it when a sign begins.
TEST_F(DivergedRun, NamesNoCheckpointThatIsNotThereAnyMore) {
  auto config = with_lost_rewards();
  config.checkpoint.keep = 1;
  EXPECT_THAT(error_of(config), HasSubstr("no checkpoint is known to be good"));
  EXPECT_EQ(checkpoint::Store(run_ / "checkpoints").marked(checkpoint::Mark::kGood), std::nullopt);
}

// When the steps after a good checkpoint are good again, its mark is taken away.
TEST_F(DivergedRun, ThatGoesOnWellLosesItsMark) {
  auto config = with_lost_rewards();
  EXPECT_NE(error_of(config), "");
  config.trainer.steps = 6;
  EXPECT_EQ(error_of(config, (run_ / "checkpoints" / "step_00000005").string()), "");
  EXPECT_EQ(checkpoint::Store(run_ / "checkpoints").marked(checkpoint::Mark::kGood), std::nullopt);
}

// One update with such a learning rate makes the weights useless.
TEST_F(DivergedRun, AnAbsurdLearningRateEndsWithAWordOfWhatToDo) {
  auto config = tiny_config(dir_.path());
  config.optimizer.lr = 1e10;
  config.optimizer.warmup_updates = 0;
  config.checkpoint.every_steps = 1;
  config.trainer.steps = 30;
  config.trainer.stop_on.signs = {"non_finite", "ratio", "constant_reward", "length_collapse"};
  // The first step has no live group and leaves the weights alone, the second one ruins them.
  EXPECT_THAT(error_of(config), AllOf(HasSubstr("step 3: sampling: the logits"), HasSubstr("step_00000001)"),
                                      HasSubstr("try a smaller optimizer.lr")));
  EXPECT_EQ(checkpoint::Store(run_ / "checkpoints").marked(checkpoint::Mark::kGood), 1);
}

// The checkpoint that a fork began from is another run's: it is neither marked nor promised to be kept.
TEST_F(DivergedRun, AForkThatDivergesAtOnceSaysSo) {
  auto config = tiny_config(dir_.path());
  config.trainer.steps = 2;
  EXPECT_EQ(error_of(config), "");
  config.run.name = "fork";
  config.checkpoint.every_steps = 0;
  config.optimizer.lr = 1e10;
  config.trainer.steps = 30;
  const std::string first = (run_ / "checkpoints" / "step_00000002").string();
  EXPECT_THAT(testing::message_of<base::Error>([&] { train(config, {.fork = first, .config_folder = ""}); }),
              AllOf(HasSubstr("sampling: the logits"), HasSubstr("no checkpoint is known to be good")));
  EXPECT_EQ(checkpoint::Store(run_ / "checkpoints").marked(checkpoint::Mark::kGood), std::nullopt);
}

}  // namespace
}  // namespace grpo::trainer
