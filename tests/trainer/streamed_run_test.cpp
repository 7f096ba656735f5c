// trainer.stream_update in whole runs: an update that begins beside the rollout has the same result as one that does
// not, and the same bits from run to run.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "grpo/base/log.h"
#include "support/golden.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;

class StreamedRun : public ::testing::Test {
 protected:
  void SetUp() override { base::set_quiet(true); }

  TrainConfig config(const std::string& name, bool stream = true) {
    auto config = tiny_config(dir_.path() / name);
    config.rollout.exact = false;
    config.trainer.stream_update = stream;
    config.trainer.micro_batch_tokens = 60;
    return config;
  }
  fs::path folder(const std::string& name) const { return dir_.path() / name / "tiny"; }

  void run(const TrainConfig& config, const std::string& resume = "never") {
    EXPECT_EQ(train(config, {.resume = resume, .config_folder = ""}), Outcome::kFinished);
  }

  testing::TempDir dir_;
};

TEST_F(StreamedRun, TwoAreEqualBitForBitAndSoIsAResumedOne) {
  run(config("one"));
  run(config("two"));
  expect_equal_runs(folder("one"), folder("two"));
  fs::remove_all(folder("two") / "checkpoints" / "step_00000006");
  fs::remove_all(folder("two") / "checkpoints" / "step_00000004");
  run(config("two"), "auto");
  expect_equal_runs(folder("one"), folder("two"));
}

TEST_F(StreamedRun, MakesThePlainRunsFirstUpdateAndSaysWhatItHid) {
  run(config("plain", false));
  run(config("streamed"));
  const auto plain = testing::read_jsonl(folder("plain") / "metrics.jsonl"),
             streamed = testing::read_jsonl(folder("streamed") / "metrics.jsonl");
  ASSERT_EQ(streamed.size(), 6u);
  for (const char* name : {"loss", "grad_norm", "entropy", "reward/mean", "tokens/trained", "groups/live"}) {
    const double expected = plain[0].at(name).get<double>();
    EXPECT_NEAR(streamed[0].at(name).get<double>(), expected, 1e-5 * (1.0 + std::abs(expected))) << name;
  }
  for (const auto& line : plain) EXPECT_FALSE(line.contains("time/update_hidden"));
  double hidden = 0.0;
  for (const auto& line : streamed) hidden += line.at("time/update_hidden").get<double>();
  EXPECT_GT(hidden, 0.0);
}

// When a signal comes while a step streams, the whole step is dropped, and what was done before is saved.
TEST_F(StreamedRun, StopsAtASignalWithoutAHalfStep) {
  auto whole = config("whole"), stopped = config("stopped");
  for (auto* config : {&whole, &stopped}) {
    config->trainer.steps = 60;
    config->checkpoint.every_steps = 0;
  }
  run(whole);
  std::thread signal([&] {
    while (!fs::exists(folder("stopped") / "rollouts" / "step_00000002.jsonl"))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    request_stop();
  });
  EXPECT_EQ(train(stopped, {.resume = "never", .config_folder = ""}), Outcome::kStopped);
  signal.join();
  EXPECT_LT(comparable_metrics(folder("stopped")).size(), 60u);
  run(stopped, "auto");
  expect_equal_runs(folder("whole"), folder("stopped"), "step_00000060");
}

}  // namespace
}  // namespace grpo::trainer
