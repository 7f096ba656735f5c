// Resume is exact: a run that was cut off anywhere and started again ends bit for bit where the uninterrupted run ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/checkpoint/store.h"
#include "grpo/config/config.h"
#include "grpo/io/file.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Resume : public ::testing::Test {
 protected:
  void SetUp() override { base::set_quiet(true); }

  fs::path run_whole(const std::string& name, TrainConfig config) {
    config.run.output = (dir_.path() / name).string();
    EXPECT_EQ(train(config, {.resume = "never", .config_folder = ""}), Outcome::kFinished);
    return dir_.path() / name / "tiny";
  }

  testing::TempDir dir_;
};

TEST_F(Resume, ContinuesBitForBitFromAnEarlierCheckpoint) {
  const auto whole = run_whole("whole", tiny_config(""));
  const auto again = run_whole("again", tiny_config(""));
  fs::remove_all(again / "checkpoints" / "step_00000006");
  fs::remove_all(again / "checkpoints" / "step_00000004");
  auto config = tiny_config(dir_.path() / "again");
  EXPECT_EQ(train(config, {.resume = "auto", .config_folder = ""}), Outcome::kFinished);
  expect_equal_runs(whole, again);
}

// The run is started as a process of its own and killed as soon as its second checkpoint is there.
TEST_F(Resume, AfterKillMinusNineEqualsTheUninterruptedRun) {
  auto config = tiny_config(dir_.path() / "whole");
  config.trainer.steps = 6;
  const auto whole = run_whole("whole", config);

  config.run.output = (dir_.path() / "killed").string();
  const fs::path config_file = dir_.path() / "config.yaml";
  io::write_file_atomic(config_file, config::to_yaml(base::fields_of(config)));
  const fs::path killed = dir_.path() / "killed" / "tiny";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string program = GRPO_BINARY;
    execl(program.c_str(), program.c_str(), "train", "--config", config_file.c_str(), nullptr);
    _exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!fs::exists(killed / "checkpoints" / "step_00000002" / "MANIFEST") &&
         std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(fs::exists(killed / "checkpoints" / "step_00000002" / "MANIFEST"));

  EXPECT_EQ(train(config, {.resume = "auto", .config_folder = ""}), Outcome::kFinished);
  expect_equal_runs(whole, killed);
}

TEST_F(Resume, WritesTheLineThatWasLostBetweenCheckpointAndMetrics) {
  const auto whole = run_whole("whole", tiny_config(""));
  const auto torn = run_whole("torn", tiny_config(""));
  const std::string text = io::read_file(torn / "metrics.jsonl");
  const size_t last_line = text.rfind('\n', text.size() - 2) + 1;
  io::write_file_atomic(torn / "metrics.jsonl", text.substr(0, last_line + 10));
  EXPECT_EQ(train(tiny_config(dir_.path() / "torn"), {.resume = "auto", .config_folder = ""}), Outcome::kFinished);
  EXPECT_EQ(comparable_metrics(torn), comparable_metrics(whole));
}

TEST_F(Resume, OfAFinishedRunChangesNothing) {
  const auto run = run_whole("run", tiny_config(""));
  const auto before = files_below(run / "checkpoints");
  EXPECT_EQ(train(tiny_config(dir_.path() / "run"), {.resume = "auto", .config_folder = ""}), Outcome::kFinished);
  EXPECT_EQ(files_below(run / "checkpoints"), before);
}

TEST_F(Resume, WithMoreStepsContinuesAFinishedRun) {
  auto config = tiny_config("");
  config.trainer.steps = 4;
  const auto longer = run_whole("longer", config);
  config = tiny_config(dir_.path() / "longer");
  EXPECT_EQ(train(config, {.resume = "auto", .config_folder = ""}), Outcome::kFinished);
  const auto whole = run_whole("whole", tiny_config(""));
  expect_equal_runs(whole, longer);
}

TEST_F(Resume, RefusesAChangedConfigurationAndNamesTheKey) {
  run_whole("run", tiny_config(""));
  auto config = tiny_config(dir_.path() / "run");
  config.optimizer.lr = 5e-4;
  config.trainer.steps = 8;
  try {
    train(config, {.resume = "auto", .config_folder = ""});
    FAIL() << "another learning rate was accepted";
  } catch (const base::ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("optimizer.lr"));
  }
}

TEST_F(Resume, NeverSetsTheEarlierRunAside) {
  run_whole("run", tiny_config(""));
  run_whole("run", tiny_config(""));
  EXPECT_TRUE(fs::exists(dir_.path() / "run" / "tiny.1" / "metrics.jsonl"));
  EXPECT_TRUE(fs::exists(dir_.path() / "run" / "tiny" / "metrics.jsonl"));
}

TEST_F(Resume, FromADamagedCheckpointIsAnErrorNamingTheFile) {
  const auto run = run_whole("run", tiny_config(""));
  const auto weights = run / "checkpoints" / "step_00000006" / "model" / "model.safetensors";
  std::string bytes = io::read_file(weights);
  bytes[bytes.size() / 2] ^= 1;
  io::write_file_atomic(weights, bytes);
  auto config = tiny_config(dir_.path() / "run");
  config.trainer.steps = 8;
  try {
    train(config, {.resume = "auto", .config_folder = ""});
    FAIL() << "a damaged checkpoint was loaded";
  } catch (const base::CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
  }
}

TEST_F(Resume, AfterSigtermSavesAndLosesNoStep) {
  auto config = tiny_config(dir_.path() / "stopped");
  config.trainer.steps = 400;
  config.checkpoint.every_steps = 0;
  const fs::path config_file = dir_.path() / "config.yaml";
  io::write_file_atomic(config_file, config::to_yaml(base::fields_of(config)));
  const fs::path run = dir_.path() / "stopped" / "tiny";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const std::string program = GRPO_BINARY;
    execl(program.c_str(), program.c_str(), "train", "--config", config_file.c_str(), nullptr);
    _exit(127);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!fs::exists(run / "rollouts" / "step_00000003.jsonl") && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  kill(child, SIGTERM);
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  const auto steps = checkpoint::Store(run / "checkpoints").steps();
  ASSERT_EQ(steps.size(), 1u);
  EXPECT_EQ(static_cast<int64_t>(comparable_metrics(run).size()), steps[0]);
}

}  // namespace
}  // namespace grpo::trainer
