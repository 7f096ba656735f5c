// Command graders, with odd_grader.py, which does what the completion says.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/json.h"
#include "grpo/reward/reward.h"
#include "nlohmann/json.hpp"
#include "reward/score_texts.h"
#include "support/golden.h"
#include "support/message_of.h"
#include "support/paths.h"

namespace grpo::reward {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Pair;

// A process that has ended may stay in the table until its parent asks for it, in state Z.
bool is_alive(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string number, name, state;
  return stat >> number >> name >> state && state != "Z";
}

class Command : public ::testing::Test {
 protected:
  RewardTerm term(std::vector<std::string> arguments = {}) const {
    RewardTerm term{.type = TermType::kCommand, .name = "grader", .weight = 1.0, .pattern = ""};
    term.command = {"python3", (testing::source_dir() / "tests/reward/odd_grader.py").string(), folder_.string()};
    term.command.insert(term.command.end(), arguments.begin(), arguments.end());
    term.timeout_s = 20.0;  // a busy machine starts Python slowly
    term.retries = 0;
    return term;
  }
  RewardTerm hasty() const {
    RewardTerm hasty = term();
    hasty.timeout_s = 1.0;
    return hasty;
  }

  static double value(const RewardTerm& term, const std::string& text) {
    return score_texts(*make_reward({.terms = {term}}), {text}).front().reward;
  }
  static std::string failure(const RewardTerm& term, const std::string& text) {
    return testing::message_of<base::Error>([&] { value(term, text); });
  }
  std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  testing::TempDir dir_;
  const fs::path folder_ = dir_.path();
};

TEST_F(Command, AnswersAreTheRewardsAndItsFiguresGoWithThem) {
  auto weighted = term();
  weighted.weight = 2.0;
  const auto scores = score_texts(*make_reward({.terms = {weighted}}), {"0.25", "metrics", "-3"});
  EXPECT_EQ(scores[0].reward, 0.5);
  EXPECT_THAT(scores[0].values, ElementsAre(0.25));
  EXPECT_EQ(scores[1].reward, 1.0);
  EXPECT_THAT(scores[1].metrics, ElementsAre(Pair("grader/passed", 3.0), Pair("grader/time_s", 0.25)));
  EXPECT_EQ(scores[2].reward, -6.0);
  EXPECT_TRUE(scores[0].metrics.empty());
}

TEST_F(Command, GetsEverythingThatIsKnownOfACompletion) {
  const auto reward = make_reward({.terms = {term()}});
  const std::vector<std::string> one = {"4"}, two = {"4", "four"};
  const std::vector<Item> items = {
      {.problem = "17", .golds = one, .row = R"({"tests":["a"],"n":1.5})", .prompt = "p", .sample = 3, .text = "1"},
      {.problem = "18", .golds = two, .prompt = "line\nbreak", .text = "2", .truncated = true},
      {.problem = "19", .golds = one, .prompt = "broken \xff byte", .text = "3"}};
  reward->score(items);
  io::JsonlReader reader((folder_ / "requests.jsonl").string());
  std::vector<nlohmann::json> rows(3);
  for (auto& row : rows) {
    ASSERT_TRUE(reader.next(row));
    row.erase("id");
  }
  EXPECT_EQ(rows[0], nlohmann::json::parse(R"({"prompt": "p", "completion": "1", "gold": "4", "sample": 3,
      "finish_reason": "stop", "problem": {"tests": ["a"], "n": 1.5}})"));
  EXPECT_EQ(rows[1], nlohmann::json::parse(R"({"prompt": "line\nbreak", "completion": "2", "gold": ["4", "four"],
      "sample": 0, "finish_reason": "length", "problem": {}})"));
  EXPECT_EQ(rows[2].at("prompt"), "broken \xEF\xBF\xBD byte");
}

TEST_F(Command, AnswersMayComeInAnyOrder) {
  const auto scores = score_texts(*make_reward({.terms = {term()}}), {"hold", "hold", "1"});
  EXPECT_EQ(scores[0].reward, 7.0);
  EXPECT_EQ(scores[1].reward, 7.0);
  EXPECT_EQ(scores[2].reward, 1.0);
}

TEST_F(Command, SeveralWorkersJudgeAtTheSameTime) {
  auto three = term();
  three.workers = 3;
  const auto reward = make_reward({.terms = {three}});
  EXPECT_EQ(reward->concurrency(), 3);
  for (const auto& score : score_texts(*reward, {"meet", "meet", "meet"})) EXPECT_EQ(score.reward, 3.0);
}

TEST_F(Command, OneProcessAnswersUntilTheEnd) {
  const auto reward = make_reward({.terms = {term()}});
  EXPECT_EQ(score_texts(*reward, {"pid"})[0].reward, score_texts(*reward, {"pid"})[0].reward);
}

TEST_F(Command, GoesThroughNoShellAndGetsNoDescriptorOfOurs) {
  const int open = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC
  EXPECT_EQ(value(term(), "descriptors"), 4.0);
  EXPECT_EQ(value(term(), "group"), 1.0);
  EXPECT_EQ(value(term({"$HOME; exit", "*"}), "arguments"), 1.0);
  ::close(open);
}

TEST_F(Command, ThatHangsIsNamed) {
  EXPECT_EQ(failure(hasty(), "hang"),
            "reward.terms: grader: problem p7, sample 0: no answer within 1 s (timeout_s), and 1 were due (asked 1 "
            "time)");
}

TEST_F(Command, ThatDiesIsNamedWithItsLastWords) {
  EXPECT_EQ(failure(term(), "die"),
            "reward.terms: grader: problem p7, sample 0: the program ended with exit code 3; the last lines of its "
            "stderr:\n  first words\n  ValueError: no such test (asked 1 time)");
  EXPECT_THAT(failure(term(), "crash"), HasSubstr("the program was ended by signal 6 (Aborted)"));
  EXPECT_THAT(failure(term(), "close"), HasSubstr("it closed its stdout"));
}

TEST_F(Command, ThatDiesOnceIsStartedAgainAndAsked) {
  auto patient = term();
  patient.retries = 1;
  const auto scores = score_texts(*make_reward({.terms = {patient}}), {"1", "die once", "2"});
  EXPECT_EQ(scores[0].reward, 1.0);
  EXPECT_EQ(scores[1].reward, 5.0);
  EXPECT_EQ(scores[2].reward, 2.0);
}

TEST_F(Command, ThatAnswersGarbageIsShown) {
  auto lenient = term();
  lenient.on_failure = OnFailure::kLeaveOut;
  const auto reward = make_reward({.terms = {lenient}});
  const auto failure = [&](const std::string& word) { return score_texts(*reward, {word}).front().failure; };
  EXPECT_THAT(failure("garbage"), HasSubstr("it answered \"debug: looking at it\", which is no JSON (stdout is for "
                                            "answers; other output belongs on stderr)"));
  EXPECT_THAT(failure("blank"), HasSubstr("it answered \"\", which is no JSON"));
  EXPECT_THAT(failure("list"), HasSubstr("it answered \"[1,2]\", expected an object with id and reward"));
  EXPECT_THAT(failure("text"), HasSubstr("its reward is string, expected a number"));
  EXPECT_THAT(failure("true"), HasSubstr("its reward is boolean, expected a number"));
  EXPECT_THAT(failure("nan"), HasSubstr("which is no JSON"));
  EXPECT_THAT(failure("huge"), HasSubstr("which is no JSON"));
  EXPECT_THAT(failure("nothing"), HasSubstr("has no reward"));
  EXPECT_THAT(failure("wrong id"), HasSubstr("about which it was not asked, or answered before"));
  EXPECT_THAT(failure("bad metric"), HasSubstr("a metric is called \"mean\""));
  EXPECT_THAT(failure("bad figure"), HasSubstr("its metric steps is string, expected a number"));
  EXPECT_EQ(score_texts(*reward, {"2"}).front().reward, 2.0);
}

// What a grader says too late, or twice, must not be taken for the answer about another completion.
TEST_F(Command, ThatAnswersLateIsNotBelievedLater) {
  auto late = hasty();
  late.on_failure = OnFailure::kLeaveOut;
  const auto reward = make_reward({.terms = {late}});
  const auto first = score_texts(*reward, {"late"});
  EXPECT_THAT(first[0].failure, HasSubstr("no answer within 1 s"));
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  auto next = score_texts(*reward, {"3"})[0];
  // On a busy machine a program may need more than this second to start.
  for (int i = 0; i < 20 && !next.failure.empty(); ++i) {
    EXPECT_THAT(next.failure, HasSubstr("no answer within 1 s"));
    next = score_texts(*reward, {"3"})[0];
  }
  EXPECT_EQ(next.reward, 3.0);
  auto patient = term();
  patient.retries = 1;
  const auto other = make_reward({.terms = {patient}});
  EXPECT_EQ(score_texts(*other, {"twice"})[0].reward, 1.0);
  EXPECT_EQ(score_texts(*other, {"3"})[0].reward, 3.0);
}

TEST_F(Command, ThatFloodsItsStdoutIsEnded) {
  EXPECT_THAT(failure(term(), "flood"), HasSubstr("it wrote a line of more than 1 MiB"));
  EXPECT_THAT(failure(term(), "flood lines"), AllOf(HasSubstr("it answered \"xxx"), HasSubstr("which is no JSON")));
}

TEST_F(Command, ThatForksIsEndedWithItsChildren) {
  auto forking = term();
  forking.timeout_s = 3.0;
  EXPECT_THAT(failure(forking, "fork"), HasSubstr("no answer within"));
  const auto grandchild = static_cast<pid_t>(std::stoi(read("grandchild")));
  for (int i = 0; i < 1000 && is_alive(grandchild); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(is_alive(grandchild));
}

TEST_F(Command, IsAskedToEndByItsStdin) {
  const auto pid = static_cast<pid_t>(value(term(), "pid"));
  EXPECT_TRUE(fs::exists(folder_ / "ended"));
  EXPECT_FALSE(is_alive(pid));
}

TEST_F(Command, ACompletionThatBreaksGradersFailsAlone) {
  auto lenient = term();
  lenient.on_failure = OnFailure::kLeaveOut;
  lenient.retries = 1;
  const auto scores = score_texts(*make_reward({.terms = {lenient}}), {"1", "die", "2", "3"});
  EXPECT_THAT(scores[1].failure,
              MatchesRegex("grader: sample 1: the program ended with exit code 3(.|\n)*asked 2 times."));
  EXPECT_EQ(scores[0].reward, 1.0);
  EXPECT_EQ(scores[2].reward, 2.0);
  EXPECT_EQ(scores[3].reward, 3.0);
  for (const size_t i : {0, 2, 3}) EXPECT_FALSE(scores[i].failed());
}

// A run that is about to end must not wait for the time limits of all completions that are left.
TEST_F(Command, AfterAFailureThatEndsTheRunNothingIsAsked) {
  auto patient = term();
  patient.timeout_s = 4.0;
  const auto reward = make_reward({.terms = {patient}});
  const auto first = testing::message_of<base::Error>([&] { score_texts(*reward, {"hang", "hang", "hang", "hang"}); });
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(testing::message_of<base::Error>([&] { score_texts(*reward, {"1"}); }), first);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3));
}

TEST_F(Command, StderrGoesToTheLog) {
  std::vector<std::string> lines;
  base::log_through([&](const std::string&, const std::string& line) { lines.push_back(line); });
  value(term(), "stderr");
  base::log_through({});
  EXPECT_THAT(lines, ::testing::Contains("grader: looking"));
  EXPECT_THAT(lines.front().size(), ::testing::Le(2100u));
}

TEST_F(Command, ThatCannotBeStartedIsAnErrorAtTheStart) {
  const auto error = [&](std::vector<std::string> command) {
    auto one = term();
    one.workers = 3;
    one.command = std::move(command);
    return testing::message_of<base::ConfigError>([&] { make_reward({.terms = {one}}); });
  };
  EXPECT_EQ(error({"no-such-grader"}), "reward.terms: grader: no-such-grader: no such program in PATH");
  EXPECT_THAT(error({"./no-such-grader"}), HasSubstr("./no-such-grader: No such file or directory (a relative path"));
  std::ofstream(folder_ / "script") << "echo x\n";
  fs::permissions(folder_ / "script", fs::perms::owner_all);
  EXPECT_THAT(error({(folder_ / "script").string()}), HasSubstr("Exec format error (a script needs a first line"));
  EXPECT_THAT(error({"sh", "-c", "echo no module >&2; exit 4"}),
              HasSubstr("the program ended with exit code 4 at once; the last lines of its stderr:\n  no module"));
  EXPECT_THAT(error({}), HasSubstr("a command term needs a command"));
  RewardTerm misplaced{.type = TermType::kMath};
  misplaced.command = {"true"};
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { make_reward({.terms = {misplaced}}); }),
              HasSubstr("command belongs to a command term, not to math"));
}

TEST_F(Command, ItsVerdictIsRightFromAValueOnWhereNoTermComparesWithGold) {
  const auto kind = [&](const std::vector<RewardTerm>& terms, const std::string& text) {
    return score_texts(*make_reward({.terms = terms}), {text}).front().verdict.kind;
  };
  using Kind = verifier::Verdict::Kind;
  EXPECT_EQ(kind({term()}, "1"), Kind::kRight);
  EXPECT_EQ(kind({term()}, "0.75"), Kind::kWrong);
  auto lower = term();
  lower.right_at = 0.5;
  EXPECT_EQ(kind({{.type = TermType::kFormat}, lower}, "0.75"), Kind::kRight);
  EXPECT_EQ(kind({term(), {.type = TermType::kMath}}, "1"), Kind::kWrong);  // the gold answer is g
}

TEST_F(Command, CanBeTheJudgeOfEvaluations) {
  const auto names = [](const std::vector<RewardTerm>& terms, const std::string& judge) {
    return make_reward(judge_of({.terms = terms}, judge))->names();
  };
  EXPECT_THAT(names({{.type = TermType::kLength}, term()}, "auto"), ElementsAre("grader"));
  EXPECT_THAT(names({term(), {.type = TermType::kMath}}, "auto"), ElementsAre("math"));
  EXPECT_THAT(names({term(), {.type = TermType::kMath}}, "grader"), ElementsAre("grader"));
  EXPECT_TRUE(needs_whole_rows({.terms = {{.type = TermType::kMath}, term()}}));
  EXPECT_FALSE(needs_whole_rows({.terms = {{.type = TermType::kMath}}}));
}

}  // namespace
}  // namespace grpo::reward
