#include "grpo/report/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::report {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Two steps after an evaluation at step 0.
fs::path write_run(const fs::path& folder, int rollouts, double train_s, double last_accuracy) {
  fs::create_directories(folder);
  std::string lines = R"({"step":0,"time":100,"eval/heldout/mean@4":0.25})" "\n";
  for (int step = 1; step <= 2; ++step) {
    lines += "{\"step\":" + std::to_string(step) + ",\"time\":" + std::to_string(100 + 10 * step) +
             ",\"rollouts\":" + std::to_string(rollouts) + ",\"tokens/completion\":50,\"time/train\":" + std::to_string(train_s) +
             ",\"groups/total\":8,\"groups/live\":4,\"memory/peak_bytes\":1000";
    if (step == 2) lines += ",\"eval/heldout/mean@4\":" + std::to_string(last_accuracy);
    lines += "}\n";
  }
  io::write_file_atomic(folder / "metrics.jsonl", lines);
  return folder;
}

class Compare : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  std::vector<RunSummary> runs_ = {read_run(write_run(dir_.path() / "g16", 128, 4.0, 0.7)),
                                   read_run(write_run(dir_.path() / "g2<b>", 16, 1.0, 0.8))};
};

TEST_F(Compare, SumsWhatARunSpent) {
  EXPECT_EQ(runs_[0].steps, 2);
  EXPECT_DOUBLE_EQ(runs_[0].rollouts, 256.0);
  EXPECT_DOUBLE_EQ(runs_[0].train_s, 8.0);
  EXPECT_DOUBLE_EQ(runs_[0].wall_s, 20.0);
  EXPECT_DOUBLE_EQ(runs_[0].live_share, 0.5);
  EXPECT_DOUBLE_EQ(runs_[0].first("eval/heldout/mean@4"), 0.25);
  EXPECT_DOUBLE_EQ(runs_[0].last("eval/heldout/mean@4"), 0.7);
}

TEST_F(Compare, RanksByTrainingTimeAndShowsChangesAgainstTheFirstRun) {
  const auto table = comparison_table(runs_, true);
  EXPECT_LT(table.find("g2<b>"), table.find("g16"));
  EXPECT_THAT(table, HasSubstr("32 (-88 %)"));
  EXPECT_THAT(table, HasSubstr("2.0 (-75 %)"));
  EXPECT_THAT(table, HasSubstr("25.0 -> 80.0 % (80.0)"));
}

TEST_F(Compare, WritesAPageWithoutNetworkAndEscapesNames) {
  write_report(runs_, dir_.path() / "out" / "report.html");
  const auto page = io::read_file(dir_.path() / "out" / "report.html");
  EXPECT_THAT(page, HasSubstr("g2&lt;b&gt;"));
  EXPECT_THAT(page, HasSubstr("<polyline"));
  EXPECT_THAT(page, ::testing::Not(HasSubstr("http")));
  const auto markdown = io::read_file(dir_.path() / "out" / "report.md");
  EXPECT_THAT(markdown, HasSubstr("| g16"));
  EXPECT_THAT(markdown, HasSubstr("![heldout/mean@4](report.svg)"));
  EXPECT_THAT(io::read_file(dir_.path() / "out" / "report.svg"), HasSubstr("g2&lt;b&gt;"));
  const auto json = nlohmann::json::parse(io::read_file(dir_.path() / "out" / "report.json"));
  EXPECT_EQ(json.at("runs").at(1).at("eval").at("heldout/mean@4").at("last"), 0.8);
}

TEST_F(Compare, SaysWhenAFolderIsNoRun) {
  try {
    read_run(dir_.path());
    FAIL() << "an empty folder was read as a run";
  } catch (const base::IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("no metrics.jsonl"));
  }
}

}  // namespace
}  // namespace grpo::report
