#include "grpo/report/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "report/arms.h"
#include "report/config_file.h"
#include "report/picture.h"
#include "report/samples.h"
#include "report/table.h"
#include "report/text.h"
#include "report/verdict.h"
#include "support/golden.h"

namespace grpo::report {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::ThrowsMessage;

struct RunSpec {
  int rollouts = 16;
  double train_s = 1.0;
  double accuracy = 0.8;  // at the end
  int group_size = 2;
  int seed = 1;
  std::string more = "";  // of the configuration
};

// Two steps after an evaluation at step 0; the last evaluates two problems.
fs::path write_run(const fs::path& folder, const RunSpec& spec) {
  fs::create_directories(folder / "eval");
  std::string lines = R"({"step":0,"time":100,"time/eval":3,"eval/heldout/mean@4":0.25})"
                      "\n";
  for (int step = 1; step <= 2; ++step) {
    lines +=
        base::concat("{\"step\":", step, ",\"time\":", 100 + 10 * step, ",\"rollouts\":", spec.rollouts,
                     ",\"tokens/completion\":50,\"time/train\":", spec.train_s, ",\"time/step\":", spec.train_s + 1,
                     ",\"groups/total\":8,\"groups/live\":", step == 1 ? 8 : 0, ",\"memory/peak_bytes\":1000");
    if (step == 2) lines += base::concat(",\"eval/heldout/mean@4\":", spec.accuracy);
    lines += "}\n";
  }
  io::write_file_atomic(folder / "metrics.jsonl", lines);
  io::write_file_atomic(folder / "config.yaml", base::concat("run: {name: ", folder.filename().string(), ", seed: ",
                                                             spec.seed, "}\nrollout: {group_size: ", spec.group_size,
                                                             "}\ntrainer: {updates_per_step: 3}\n", spec.more));
  return folder;
}

// first_gold: the first problem's right answer; the next one's is larger by 1.
void write_eval(const fs::path& folder, const std::vector<int>& right_of_four, int first_gold = 0,
                const char* only_id = nullptr) {
  std::string lines;
  for (size_t i = 0; i < right_of_four.size(); ++i) {
    const std::string id = only_id != nullptr ? only_id : base::concat("p", i);
    lines += base::concat("{\"id\":\"", id, "\",\"gold\":\"", first_gold + static_cast<int>(i),
                          "\",\"right\":", right_of_four[i], ",\"samples\":[{},{},{},{}]}\n");
  }
  io::write_file_atomic(folder / "eval" / "step_00000002_heldout.jsonl", lines);
}

class Compare : public ::testing::Test {
 protected:
  RunSummary run(const std::string& name, const RunSpec& spec) { return read_run(write_run(dir_.path() / name, spec)); }

  testing::TempDir dir_;
  std::vector<RunSummary> runs_ = {run("g16", {.rollouts = 128, .train_s = 4.0, .accuracy = 0.75, .group_size = 16}),
                                   run("g2<b>", {.rollouts = 16, .train_s = 1.0, .accuracy = 0.6})};
};

TEST_F(Compare, SumsWhatARunSpent) {
  EXPECT_EQ(runs_[0].steps, 2);
  EXPECT_DOUBLE_EQ(runs_[0].rollouts, 256.0);
  EXPECT_DOUBLE_EQ(runs_[0].train_s, 8.0);
  EXPECT_DOUBLE_EQ(runs_[0].wall_s, 13.0);  // the evaluation before the first step, and two steps
  EXPECT_DOUBLE_EQ(runs_[0].live_share, 0.5);
  EXPECT_DOUBLE_EQ(runs_[0].updates, 3.0);  // one of the steps had a live group
  EXPECT_DOUBLE_EQ(runs_[0].first("eval/heldout/mean@4"), 0.25);
  EXPECT_DOUBLE_EQ(runs_[0].last("eval/heldout/mean@4"), 0.75);
  EXPECT_DOUBLE_EQ(runs_[0].positions.at(1).rollouts, 128.0);
}

TEST_F(Compare, RanksByTrainingTimeAndShowsChangesAgainstTheFirstRun) {
  const auto table = comparison_markdown(runs_);
  EXPECT_LT(table.find("| g2&lt;b>"), table.find("| g16"));
  EXPECT_THAT(table, HasSubstr("32 (−88 %)"));
  EXPECT_THAT(table, HasSubstr("2.0 (−75 %)"));
  EXPECT_THAT(table, HasSubstr("60.0 (−15.0)"));
}

TEST_F(Compare, TellsWhatTheSecondRunReachesWithWhat) {
  const auto verdicts = verdicts_of(arms_of(runs_));
  ASSERT_EQ(verdicts.size(), 1u);
  EXPECT_THAT(verdicts[0].text,
              HasSubstr("G=2 reaches 80.0 % of G=16's heldout/mean@4 (60.0 % against 75.0 %) with 12.5 % of its "
                        "rollouts in 0.25 of its time; difference −15.0 points: no interval"));
  EXPECT_TRUE(std::isnan(verdicts[0].half_width));
}

TEST_F(Compare, SaysWhereSeedsAreOfUnequalLength) {
  std::vector<RunSummary> runs = {run("g16_a", {.group_size = 16}), run("g16_b", {.group_size = 16, .seed = 2}),
                                  run("g2", {})};
  EXPECT_THAT(verdicts_of(arms_of(runs)).at(0).text, Not(HasSubstr("steps long")));
  runs[1].steps = 1;
  EXPECT_THAT(verdicts_of(arms_of(runs)).at(0).text, HasSubstr(" The seeds of G=16 are 1 to 2 steps long."));
}

struct Named {
  const char* name;
  int group_size;
  const char* config;
};

// What each verdict calls its arm, and last what they call the first one.
std::vector<std::string> names_of(const fs::path& folder, const std::vector<Named>& arms) {
  std::vector<RunSummary> runs;
  for (const auto& [name, group_size, config] : arms) {
    runs.push_back(read_run(write_run(folder / name, {.group_size = group_size, .more = config})));
  }
  std::vector<std::string> names;
  const auto verdicts = verdicts_of(arms_of(runs));
  for (const auto& verdict : verdicts) names.push_back(verdict.arm);
  names.push_back(verdicts.front().baseline);
  return names;
}

TEST_F(Compare, ArmsOfSeveralMethodsAreCalledByTheirMethodAndWhereItIsSharedByWhatElseTellsThemApart) {
  const auto names = names_of(dir_.path(), {{"two", 2, "algorithm: {method: grpo, loss: clip}\n"},
                                            {"sixteen", 16, "algorithm: {method: grpo, loss: clip}\n"},
                                            {"critic", 1, "algorithm: {method: ppo, loss: clip}\n"},
                                            {"pairs", 2, "algorithm: {method: grpo, loss: pair_logistic}\n"},
                                            {"live", 2, "algorithm: {method: online_dpo, loss: clip}\n"},
                                            {"written", 2, "algorithm: {method: sft, loss: clip}\n"},
                                            {"of_mine", 2, "algorithm: {method: my_own, loss: clip}\n"}});
  EXPECT_THAT(names, ElementsAre("GRPO clip G=16", "PPO", "GRPO pair_logistic", "online DPO", "SFT", "my_own",
                                 "GRPO clip G=2"));
}

TEST_F(Compare, ARunFromBeforeThereWereMethodsIsGrpoOfAllWeights) {
  EXPECT_THAT(names_of(dir_.path(), {{"old", 2, ""}, {"new", 16, "algorithm: {method: grpo, loss: clip}\n"}}),
              ElementsAre("G=16", "G=2"));
  EXPECT_THAT(names_of(dir_.path(), {{"whole", 2, ""}, {"adapters", 2, "model: {lora: {rank: 8}}\n"}}),
              ElementsAre("LoRA rank 8", "full weights"));
}

TEST_F(Compare, GroupsThatAdaptOrAreRefilledAreNotCalledByTheirSizeAlone) {
  std::vector<RunSummary> runs = {run("g2", {}), run("extended", {}), run("refilled", {})};
  runs[1].config["rollout.adaptive.mode"] = "extend";
  runs[2].config["rollout.resample.max_rollouts"] = "64";
  runs[0].config["rollout.resample.max_rollouts"] = "~";  // as a config.yaml without a bound is read
  runs[0].config["rollout.adaptive.mode"] = "\"off\"";
  const auto verdicts = verdicts_of(arms_of(runs));
  EXPECT_EQ(verdicts.at(0).baseline, "G=2");
  EXPECT_EQ(verdicts.at(0).arm, "adaptive groups (extend)");
  EXPECT_EQ(verdicts.at(1).arm, "G=2 with fresh prompts");
}

TEST_F(Compare, ArmsThatNoneOfThisTellsApartAreCalledByTheirRuns) {
  EXPECT_THAT(names_of(dir_.path(), {{"slow", 2, "optimizer: {lr: 0.1}\n"}, {"fast", 2, "optimizer: {lr: 0.2}\n"}}),
              ElementsAre("fast", "slow"));
  // A group size says nothing of texts that were written.
  EXPECT_THAT(names_of(dir_.path(), {{"a", 2, "algorithm: {method: sft}\n"}, {"b", 16, "algorithm: {method: sft}\n"}}),
              ElementsAre("b", "a"));
}

// Supervised runs sample nothing, and have no groups whose updates could be counted.
TEST_F(Compare, ARunOnWrittenTextsHasUpdatesAndNoShareOfTheOthersRollouts) {
  const auto folder = write_run(dir_.path() / "written", {.more = "algorithm: {method: sft}\n"});
  io::write_file_atomic(folder / "metrics.jsonl",
                        "{\"step\":1,\"time\":1,\"loss\":0.5,\"time/train\":1}\n"
                        "{\"step\":2,\"time\":2,\"loss\":0.4,\"time/train\":1,\"eval/heldout/mean@4\":0.7}\n");
  const auto written = read_run(folder);
  EXPECT_DOUBLE_EQ(written.updates, 6.0);
  for (const auto& runs : {std::vector{runs_[0], written}, std::vector{written, runs_[0]}}) {
    const auto text = verdicts_of(arms_of(runs)).at(0).text;
    EXPECT_THAT(text, Not(HasSubstr("of its rollouts")));
    EXPECT_THAT(text, HasSubstr("%) in "));
  }
}

// Differences 1/4, 1/4, -1/4, 1/4: mean 1/8, deviation 1/4, t(3) = 3.182.
TEST_F(Compare, OneSeedEachIsComparedProblemByProblem) {
  write_eval(dir_.path() / "g16", {1, 2, 3, 0});
  write_eval(dir_.path() / "g2<b>", {2, 3, 2, 1});
  const auto verdict = verdicts_of(arms_of(runs_)).at(0);
  EXPECT_NEAR(verdict.half_width, 100.0 * 3.182 * 0.25 / 2.0, 0.01);
  EXPECT_THAT(verdict.text, HasSubstr("no difference beyond chance (95 %, paired over 4 problems, one seed each)"));
}

// Labels may repeat, and a set of the same name may hold other problems, or more of them.
TEST_F(Compare, OnlyTheSameProblemsArePaired) {
  write_eval(dir_.path() / "g16", {1, 2, 3, 0}, 0, "one label");
  write_eval(dir_.path() / "g2<b>", {2, 3, 2, 1}, 0, "one label");
  EXPECT_THAT(verdicts_of(arms_of(runs_)).at(0).text, HasSubstr("paired over 4 problems"));
  for (const int first_gold : {100, 2}) {
    write_eval(dir_.path() / "g2<b>", {2, 3, 2, 1}, first_gold, "one label");
    const auto verdict = verdicts_of(arms_of(runs_)).at(0);
    EXPECT_TRUE(std::isnan(verdict.half_width));
    EXPECT_THAT(verdict.text, HasSubstr(base::concat(" The problems were not the same: of 4 of G=2 and 4 of G=16, ",
                                                     first_gold == 2 ? 2 : 0, " agree in id and answer")));
  }
  write_eval(dir_.path() / "g2<b>", {2, 3, 2, 1, 4}, 0, "one label");
  EXPECT_THAT(verdicts_of(arms_of(runs_)).at(0).text, HasSubstr("of 5 of G=2 and 4 of G=16, 4 agree"));
}

// Welch by hand: means 0.5 and 0.8, variances 0.01 and 0.0001 (n = 3): se² = 0.0101 / 3, df = 2.04, t = 4.26 (between
// the table's 4.303 at 2 and 3.182 at 3).
TEST_F(Compare, SeedsOfOneConfigurationAreAnArm) {
  std::vector<RunSummary> runs;
  for (const auto& [seed, accuracy] : {std::pair(1, 0.4), {2, 0.5}, {3, 0.6}}) {
    runs.push_back(run(base::concat("big_seed", seed), {.accuracy = accuracy, .group_size = 16, .seed = seed}));
  }
  for (const auto& [seed, accuracy] : {std::pair(1, 0.79), {2, 0.8}, {3, 0.81}}) {
    runs.push_back(run(base::concat("two_seed", seed), {.accuracy = accuracy, .seed = seed}));
  }
  const auto arms = arms_of(runs);
  ASSERT_EQ(arms.size(), 2u);
  EXPECT_EQ(arms[0].name, "big");
  EXPECT_EQ(arms[1].runs.size(), 3u);
  const auto verdict = verdicts_of(arms).at(0);
  EXPECT_NEAR(verdict.difference, 30.0, 1e-9);
  EXPECT_NEAR(verdict.half_width, 100.0 * 4.26 * std::sqrt(0.0101 / 3.0), 0.1);
  EXPECT_THAT(verdict.text, HasSubstr("better beyond chance (95 %, Welch's t over 3 and 3 seeds)"));
  const auto series = curves_of(arms[0], {"eval/heldout/mean@4"}, 100).series.at("eval/heldout/mean@4");
  EXPECT_NEAR(series.mean.at(2), 0.5, 1e-12);
  EXPECT_NEAR(series.half_width.at(2), 4.303 * 0.1 / std::sqrt(3.0), 1e-3);
  EXPECT_TRUE(std::isnan(series.mean.at(1)));
  EXPECT_THAT(comparison_text(runs), HasSubstr("50.0 ± 24.8"));
}

// Two seeds of each of two configurations, at 16 rollouts and one second a step, and at 128 and four.
TEST_F(Compare, ArmsAreTheColumnsOfTheConfigurationAndTheLinesOfThePicture) {
  std::vector<RunSummary> runs;
  for (const int seed : {1, 2}) {
    runs.push_back(run(base::concat("two_seed", seed), {.accuracy = 0.5 + 0.1 * seed, .seed = seed}));
    runs.push_back(run(base::concat("big_seed", seed),
                       {.rollouts = 128, .train_s = 4.0, .accuracy = 0.7, .group_size = 16, .seed = seed}));
  }
  EXPECT_THAT(config_table(runs).rows,
              ElementsAre(ElementsAre("key", "two", "big"), ElementsAre("rollout.group_size", "2", "16")));
  EXPECT_THAT(config_table({runs[0], runs[2]}).rows,
              ElementsAre(ElementsAre("key", "two"), ElementsAre("run.seed", "1, 2")));
  const auto svg = picture(runs, "eval/heldout/mean@4");
  EXPECT_THAT(svg, HasSubstr("two (mean of 2 seeds, 95 % band)"));
  EXPECT_THAT(svg, HasSubstr("over training time in seconds"));
  int lines = 0;
  for (size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1)) ++lines;
  EXPECT_EQ(lines, 4);  // two arms in two panels
  // 256 rollouts on an axis that ends at 300, 380 points wide from 44 on.
  EXPECT_THAT(svg, HasSubstr(number(44.0 + 380.0 * 256.0 / 300.0, "%.1f") + ","));
}

// Tables of Student's t (two-sided 5 %).
TEST(TQuantile, AgreesWithTables) {
  for (const auto& [df, expected] :
       {std::pair(1.0, 12.706), {2.0, 4.303}, {4.0, 2.776}, {5.0, 2.571}, {9.0, 2.262}, {30.0, 2.042}, {1e6, 1.960}}) {
    EXPECT_NEAR(t_quantile(df), expected, 2e-3) << df;
  }
}

TEST_F(Compare, CurvesAreThinnedButKeepEvaluationsAndTheEnd) {
  std::string lines;
  for (int step = 1; step <= 1000; ++step) {
    lines += base::concat("{\"step\":", step, ",\"time\":1,\"reward/mean\":0.5",
                          step == 333 ? ",\"eval/a/mean@1\":0.5}\n" : "}\n");
  }
  fs::create_directories(dir_.path() / "long");
  io::write_file_atomic(dir_.path() / "long" / "metrics.jsonl", lines);
  const std::vector<RunSummary> runs = {read_run(dir_.path() / "long")};
  const auto curves = curves_of(arms_of(runs).at(0), {"eval/a/mean@1"}, 100);
  EXPECT_EQ(curves.positions.size(), 102u);
  EXPECT_EQ(curves.positions.back().step, 1000);
  EXPECT_EQ(
      std::count_if(curves.positions.begin(), curves.positions.end(), [](const auto& at) { return at.step == 333; }),
      1);
}

TEST_F(Compare, NamesEveryKeyWithAnotherValue) {
  const auto differences = config_differences(runs_);
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_EQ(differences[0].key, "rollout.group_size");
  EXPECT_THAT(differences[0].values, ElementsAre("16", "2"));
}

std::string rollout_line(int sample, const std::string& verdict, const std::string& text) {
  return nlohmann::json{
             {"step", 1},    {"prompt_id", "p"},        {"sample", sample}, {"prompt", "1+1="}, {"ids", {1, 2}},
             {"text", text}, {"finish_reason", "stop"}, {"answer", "2"},    {"gold", "2"},      {"verdict", verdict},
             {"reward", 0},  {"advantage", 0}}
             .dump() +
         "\n";
}

TEST_F(Compare, SampledGroupsKeepARightAndAWrongCompletion) {
  std::string lines;
  for (int group = 0; group < 2; ++group) {  // the same prompt twice in a row is two groups
    for (int sample = 0; sample < 8; ++sample) lines += rollout_line(sample, sample == 6 ? "right" : "wrong", "äöü");
  }
  fs::create_directories(dir_.path() / "g16" / "rollouts");
  io::write_file_atomic(dir_.path() / "g16" / "rollouts" / "step_00000001.jsonl", lines);
  const auto steps = rollout_samples(runs_[0], {.completions = 3, .bytes = 3});
  ASSERT_EQ(steps.at(0).at("groups").size(), 2u);
  const auto group = steps.at(0).at("groups").at(0);
  EXPECT_EQ(group.at("size"), 8);
  ASSERT_EQ(group.at("completions").size(), 3u);
  EXPECT_EQ(group.at("completions").at(2).at("verdict"), "right");
  EXPECT_EQ(group.at("completions").at(0).at("text"), "ä … (4 bytes more)");
}

TEST_F(Compare, WritesAPageThatLoadsNothingAndEscapesNames) {
  write_report(runs_, dir_.path() / "out" / "report.html");
  const auto page = io::read_file(dir_.path() / "out" / "report.html");
  EXPECT_THAT(page, HasSubstr("g2&lt;b&gt;"));
  for (const char* loads : {"src=", "href=", "@import", "url(", "<b>"}) EXPECT_THAT(page, Not(HasSubstr(loads)));
  EXPECT_THAT(page, HasSubstr("Copyright (c) 2022 Leon Sorokin"));
  const auto markdown = io::read_file(dir_.path() / "out" / "report.md");
  EXPECT_THAT(markdown, HasSubstr("| g16"));
  EXPECT_THAT(markdown, HasSubstr("![heldout/mean@4](report.svg)"));
  EXPECT_THAT(io::read_file(dir_.path() / "out" / "report.svg"), HasSubstr("g2&lt;b&gt;"));
  const auto json = nlohmann::json::parse(io::read_file(dir_.path() / "out" / "report.json"));
  EXPECT_EQ(json.at("runs").at(1).at("eval").at("heldout/mean@4").at("last"), 0.6);
  EXPECT_EQ(json.at("verdicts").at(0).at("rollouts_share"), 0.125);
  EXPECT_THROW(write_report(runs_, dir_.path() / "report.md"), base::ConfigError);
}

TEST_F(Compare, ARunWithoutAStepIsShownAsEmpty) {
  fs::create_directories(dir_.path() / "new");
  io::write_file_atomic(dir_.path() / "new" / "metrics.jsonl", "");
  runs_.insert(runs_.begin(), read_run(dir_.path() / "new"));
  EXPECT_THAT(comparison_text(runs_), HasSubstr("No verdict yet"));
  EXPECT_EQ(comparison_json(runs_).at("runs").at(0).at("steps"), 0);
  EXPECT_NO_THROW(write_report(runs_, dir_.path() / "report.html"));
}

TEST_F(Compare, NamesCannotBreakTheMarkdownTable) {
  runs_.push_back(run("a|b", {.seed = 3}));
  EXPECT_THAT(comparison_markdown(runs_), HasSubstr("| a\\|b"));
  EXPECT_THAT(comparison_markdown(runs_), HasSubstr("| g2&lt;b>"));
  EXPECT_THAT(comparison_text(runs_), HasSubstr("a|b"));
}

TEST_F(Compare, NoFileOfARunIsReplaced) {
  for (const char* name : {"metrics.jsonl", "config.yaml", "run.html", "run"})
    EXPECT_THROW(write_report(runs_, dir_.path() / "g16" / name), base::ConfigError) << name;
  EXPECT_EQ(read_run(dir_.path() / "g16").steps, 2);
}

TEST_F(Compare, LeavesOutALastLineThatIsCutOffButNoOther) {
  const auto path = dir_.path() / "g16" / "metrics.jsonl";
  const auto whole = io::read_file(path);
  io::write_file_atomic(path, whole + "{\"step\":3,\"lo");
  EXPECT_EQ(read_run(dir_.path() / "g16").steps, 2);
  io::write_file_atomic(path, "{\"step\":1,\"lo\n" + whole);
  EXPECT_THROW(read_run(dir_.path() / "g16"), base::IoError);
}

TEST_F(Compare, OnlyFilesNamedAfterStepsAreRollouts) {
  const auto folder = dir_.path() / "g16" / "rollouts";
  fs::create_directories(folder / "step_00000009.jsonl");
  const std::string line = rollout_line(0, "right", "text");
  for (const char* name : {"step_00000002.jsonl", "step_00000010.jsonl", "notes.jsonl", "step_0000000x.jsonl",
                           "step_1.jsonl", "step_00000003.jsonl.bak", "step_000000000004.jsonl"})
    io::write_file_atomic(folder / name, line);
  const auto steps = rollout_samples(runs_[0], {});
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].at("step"), 2);
  EXPECT_EQ(steps[1].at("step"), 10);
}

TEST_F(Compare, NamesTheLineWithoutAKeyOrWithAValueOfAnotherType) {
  const auto folder = dir_.path() / "g16";
  io::write_file_atomic(folder / "eval" / "step_00000002_heldout.jsonl", "{\"id\":1,\"right\":1,\"samples\":[{}]}\n");
  EXPECT_THAT([&] { last_eval_by_problem(runs_[0], "eval/heldout/mean@4"); },
              ThrowsMessage<base::IoError>(HasSubstr("step_00000002_heldout.jsonl:1: type must be string")));
  fs::create_directories(folder / "rollouts");
  io::write_file_atomic(folder / "rollouts" / "step_00000001.jsonl",
                        rollout_line(0, "right", "text") + "{\"sample\":1}\n");
  EXPECT_THAT([&] { rollout_samples(runs_[0], {}); },
              ThrowsMessage<base::IoError>(HasSubstr("step_00000001.jsonl:2: key 'prompt_id' not found")));
  io::write_file_atomic(folder / "metrics.jsonl", "{\"step\":1}\n{\"rollouts\":8}\n");
  EXPECT_THAT([&] { read_run(folder); },
              ThrowsMessage<base::IoError>(HasSubstr("metrics.jsonl:2: key 'step' not found")));
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
