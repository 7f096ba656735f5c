// What the keys of data.train and the rows of its files do to a run.
#include <gmock/gmock.h>

#include <map>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "trainer/load_prompts.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class TrainSetsRun : public ::testing::Test {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    config_.rollout.max_new_tokens = 4;
    config_.checkpoint.every_steps = 2;
  }
  std::string write(const std::string& name, const std::string& text) {
    io::write_file_atomic(dir_.path() / name, text);
    return (dir_.path() / name).string();
  }
  // Writes a file of `count` sums of five digits whose first places are first, first + 1, ...
  std::string sums(const std::string& name, int first, int count) {
    std::string text;
    for (int i = first; i < first + count; ++i)
      text +=
          base::concat(R"({"problem":")", i % 10, "+", i / 10, R"(+1+1+1=","answer":")", i % 10 + i / 10 + 3, "\"}\n");
    return write(name, text);
  }
  void run(const std::string& name, int64_t steps) {
    config_.run.name = name;
    config_.trainer.steps = steps;
    train(config_, {});
  }
  std::string messages(const std::string& name, int64_t steps) {
    base::set_quiet(false);
    ::testing::internal::CaptureStderr();
    run(name, steps);
    base::set_quiet(true);
    return ::testing::internal::GetCapturedStderr();
  }
  std::string error(const std::string& name, int64_t steps) {
    return testing::message_of<base::Error>([&] { run(name, steps); });
  }
  // How often each problem was asked in all steps.
  std::map<std::string, int> asked(const std::string& name) {
    std::map<std::string, int> counts;
    for (const auto& [file, bytes] : files_below(dir_.path() / "runs" / name / "rollouts")) {
      for (const auto& row : testing::read_jsonl(dir_.path() / "runs" / name / "rollouts" / file)) {
        if (row.at("sample") == 0) ++counts[row.at("prompt")];
      }
    }
    return counts;
  }

  testing::TempDir dir_;
  TrainConfig config_ = tiny_config(dir_.path() / "runs");
};

TEST_F(TrainSetsRun, AskTheProblemsOfASetAsOftenAsItsWeightSays) {
  config_.data.train = {sums("a.jsonl", 0, 4), sums("b.jsonl", 50, 16)};
  config_.data.train[0].weight = 2.0;
  config_.data.train[1].weight = 0.5;
  config_.data.epochs = 2.0;
  config_.logging.rollouts_per_step = 64;
  config_.trainer.steps.reset();
  config_.run.name = "mix";
  base::set_quiet(false);
  ::testing::internal::CaptureStderr();
  train(config_, {});
  base::set_quiet(true);
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("a.jsonl: 4 problems of 4 rows; weight 2, 8 of 16 draws an epoch"));
  EXPECT_THAT(log, HasSubstr("b.jsonl: 16 problems of 16 rows; weight 0.5, 8 of 16 draws an epoch"));
  const auto counts = asked("mix");  // 2 epochs of 16 draws are 4 steps of 8 prompts
  EXPECT_EQ(counts.size(), 20U);
  for (const auto& [prompt, count] : counts)
    EXPECT_EQ(count, prompt.find("+5+1+1+1=") == 1 || prompt.find("+6+1+1+1=") == 1 ? 1 : 4) << prompt;
}

TEST_F(TrainSetsRun, GoOnAsIfNeverStoppedAndRefuseOtherWeights) {
  config_.data.train = {sums("a.jsonl", 0, 6), sums("b.jsonl", 50, 20)};
  config_.data.train[0].weight = 1.5;
  config_.data.train[1].take = 10;
  run("whole", 6);
  run("parts", 3);
  run("parts", 6);
  expect_equal_runs(dir_.path() / "runs" / "whole", dir_.path() / "runs" / "parts");

  auto with = config_.data.train;
  config_.data.train[0].weight = 3.0;
  EXPECT_THAT(error("parts", 7), AllOf(HasSubstr("weights of its sets"), HasSubstr("[[6,1.5],[10,1.0]]"),
                                       HasSubstr("[[6,3.0],[10,1.0]]")));
  config_.data.train = with;
  config_.data.train[1].take_seed = 1;
  EXPECT_THAT(error("parts", 7), HasSubstr("data.train: the content of the problems"));
}

TEST_F(TrainSetsRun, LeaveOutBadRowsAndGoldsOnlyWhereAskedTo) {
  std::string rows;
  for (int i = 0; i < 9; ++i) rows += base::concat(R"({"problem":"1+1+1+1+)", i, R"(=","answer":")", i + 4, "\"}\n");
  rows += "{\"problem\": \"2+\n";
  rows += R"({"problem":"3+1+1+1+1=","answer":"3+__=7"})";
  config_.data.train = {write("a.jsonl", rows + "\n")};
  config_.reward.max_bad_golds = 0.2;
  EXPECT_THAT(error("bad", 1), HasSubstr("a.jsonl:10: not valid JSON"));
  config_.data.on_bad_row = data::OnBadRow::kSkip;
  EXPECT_THAT(
      messages("bad", 1),
      AllOf(HasSubstr("1 of 11 rows cannot be read and are left out (data.on_bad_row: skip):\n  "),
            HasSubstr("a.jsonl:10: not valid JSON"), HasSubstr("1 of 10 gold answers can reward no right completion"),
            HasSubstr("the problems are left out"), HasSubstr("a.jsonl:11)")));
  config_.rollout.prompts_per_step = 9;
  config_.data.epochs = 1.0;
  run("nine", 1);
  for (const auto& [prompt, count] : asked("nine")) EXPECT_THAT(prompt, Not(HasSubstr("3+1+1")));
  config_.reward.max_bad_golds = 0.0;
  EXPECT_THAT(error("strict", 1), HasSubstr("reward.max_bad_golds"));
}

TEST_F(TrainSetsRun, SayWhatTheyChoseAndWhatIsDouble) {
  config_.data.train = {sums("a.jsonl", 0, 20), sums("b.jsonl", 0, 8)};
  config_.data.train[0].where = {"answer >= 5"};
  EXPECT_THAT(messages("kept", 1), AllOf(HasSubstr("a.jsonl: 17 problems of 20 rows: 3 do not meet where\n"),
                                         HasSubstr("repeat an earlier problem (data.duplicates: drop)")));
  config_.data.duplicates = data::Duplicates::kDrop;
  config_.data.train[0].take = 10;
  EXPECT_THAT(messages("dropped", 1), AllOf(HasSubstr("7 not taken"), HasSubstr("duplicates dropped")));
}

TEST(ResolveSets, GivePlainPathsASetAFileAndKeepOthersWhole) {
  const testing::TempDir dir;
  for (const char* name : {"a-0.jsonl", "a-1.jsonl"}) io::write_file_atomic(dir.path() / name, "x");
  data::TrainSet pattern((dir.path() / "a-*.jsonl").string());
  const auto path = [&](const char* name) { return (dir.path() / name).string(); };
  EXPECT_THAT(resolve_sets({pattern}, ""),
              ElementsAre(data::TrainSet(path("a-0.jsonl")), data::TrainSet(path("a-1.jsonl"))));
  pattern.take = 3;
  const auto resolved = resolve_sets({pattern}, "");
  ASSERT_EQ(resolved.size(), 1U);
  EXPECT_THAT(resolved[0].path, ElementsAre(path("a-0.jsonl"), path("a-1.jsonl")));
  EXPECT_EQ(resolved[0].take, 3);
  EXPECT_THROW(resolve_sets({data::TrainSet()}, ""), base::ConfigError);
}

}  // namespace
}  // namespace grpo::trainer
