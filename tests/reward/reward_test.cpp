#include "grpo/reward/reward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "grpo/base/error.h"

namespace grpo::reward {
namespace {

RewardTerm term(TermType type, double weight = 1.0, std::string pattern = "") {
  return {.type = type, .weight = weight, .pattern = std::move(pattern)};
}

struct Answer {
  std::string gold, text;
  int64_t num_tokens = 0;
  std::vector<std::string> also_right = {};
};

Score score_of(const RewardConfig& config, const Answer& answer) {
  std::vector<std::string> golds = {answer.gold};
  golds.insert(golds.end(), answer.also_right.begin(), answer.also_right.end());
  const std::vector<int64_t> ids(static_cast<size_t>(answer.num_tokens));
  const Item item{.golds = golds, .text = answer.text, .ids = ids};
  return make_reward(config)->score({&item, 1}).front();
}

double value(const RewardTerm& one, const Answer& answer) { return score_of({.terms = {one}}, answer).reward; }

TEST(Reward, MathAsksTheVerifier) {
  EXPECT_EQ(value(term(TermType::kMath), {.gold = "\\frac12", .text = "so \\boxed{0.5}"}), 1.0);
  EXPECT_EQ(value(term(TermType::kMath), {.gold = "\\frac12", .text = "so \\boxed{0.6}"}), 0.0);
}

TEST(Reward, ExactComparesTrimmedText) {
  EXPECT_EQ(value(term(TermType::kExact), {.gold = "yes", .text = " yes\n"}), 1.0);
  EXPECT_EQ(value(term(TermType::kExact), {.gold = "0.5", .text = "1/2"}), 0.0);
  EXPECT_EQ(value(term(TermType::kExact), {.gold = "yes", .text = "Yes"}), 0.0);
}

TEST(Reward, NumericTakesTheLastNumber) {
  EXPECT_EQ(value(term(TermType::kNumeric), {.gold = "1234", .text = "first 7, then 1,234."}), 1.0);
  EXPECT_EQ(value(term(TermType::kNumeric), {.gold = "-3/4", .text = "it is -3/4"}), 1.0);
  EXPECT_EQ(value(term(TermType::kNumeric), {.gold = "7", .text = "first 7, then 8"}), 0.0);
  EXPECT_EQ(value(term(TermType::kNumeric), {.gold = "7", .text = "seven"}), 0.0);
  EXPECT_EQ(value(term(TermType::kNumeric), {.gold = "12", .text = "12 or 13"}), 0.0);
}

TEST(Reward, RegexMatchesAnywhere) {
  const auto one = term(TermType::kRegex, 1.0, "^<think>.*</think>(?s:.*)$");
  EXPECT_EQ(value(one, {.gold = "", .text = "<think>a</think>\nb"}), 1.0);
  EXPECT_EQ(value(one, {.gold = "", .text = "b <think>a</think>"}), 0.0);
}

TEST(Reward, RegexThatBacktracksForeverEndsAndSaysSo) {
  const RewardConfig config{.terms = {term(TermType::kMath), term(TermType::kRegex, 1.0, "^(a+)+$")}};
  const auto score = score_of(config, {.gold = "", .text = std::string(5000, 'a') + "b"});
  EXPECT_TRUE(score.failed());
  EXPECT_THAT(score.failure, ::testing::HasSubstr("regex: its pattern takes too many steps"));
  EXPECT_FALSE(score_of(config, {.gold = "", .text = "aab"}).failed());
}

TEST(Reward, OtherTermsAreNotAskedWhatIsRight) {
  const auto reward = make_reward({.terms = {term(TermType::kRegex, 1.0, "^(a+)+$"), term(TermType::kMath, 0.5)}});
  const std::vector<std::string> golds = {"7"};
  const std::string text = std::string(5000, 'a') + "b \\boxed{7}";
  const Item item{.golds = golds, .text = text};
  EXPECT_TRUE(reward->score({&item, 1}).front().failed());
  const auto judged = reward->judge({&item, 1}).front();
  EXPECT_FALSE(judged.failed());
  EXPECT_EQ(judged.verdict.kind, verifier::Verdict::Kind::kRight);
  EXPECT_EQ(judged.judged, 1.0);
  EXPECT_EQ(judged.reward, 0.5);
}

TEST(Reward, RegexThatEndsInAnotherErrorSaysSo) {
  const RewardConfig config{.terms = {term(TermType::kRegex, 1.0, "(?R)?a")}};
  const auto score = score_of(config, {.gold = "", .text = "aaa"});  // it calls itself before it has read anything
  EXPECT_TRUE(score.failed());
  EXPECT_THAT(score.failure, ::testing::HasSubstr("regex: its pattern cannot be matched against this text: "));
  EXPECT_FALSE(score_of(config, {.gold = "", .text = "bbb"}).failed());
}

TEST(Reward, FormatWantsACompleteBox) {
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "\\boxed{1}"}), 1.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "\\boxed{1"}), 0.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "\\boxed{ }"}), 0.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "<think>\\boxed{1}</think>"}), 0.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "1"}), 0.0);
}

TEST(Reward, LengthCountsTokens) {
  EXPECT_EQ(value(term(TermType::kLength, -0.01), {.gold = "", .text = "", .num_tokens = 300}), -3.0);
}

TEST(Reward, TermsAddUpWithTheirWeights) {
  const RewardConfig config{
      .terms = {term(TermType::kFormat, 0.25), term(TermType::kMath, 2.0), term(TermType::kLength, -0.5)}};
  const Score score = score_of(config, {.gold = "3", .text = "\\boxed{3}", .num_tokens = 4});
  EXPECT_THAT(make_reward(config)->names(), ::testing::ElementsAre("format", "math", "length"));
  EXPECT_THAT(score.values, ::testing::ElementsAre(1.0, 1.0, 4.0));
  EXPECT_DOUBLE_EQ(score.reward, 0.25 + 2.0 - 2.0);
  EXPECT_EQ(score.verdict.kind, verifier::Verdict::Kind::kRight);
}

TEST(Reward, VerifierOptionsReachTheVerifier) {
  RewardConfig config{.terms = {term(TermType::kMath)}};
  EXPECT_EQ(score_of(config, {.gold = "7", .text = "It is 7"}).reward, 1.0);
  EXPECT_EQ(score_of(config, {.gold = "1/3", .text = "\\boxed{0.33333}"}).reward, 0.0);
  config.verifier.fallbacks = {};
  config.verifier.decimal_digits = 4;
  EXPECT_EQ(score_of(config, {.gold = "7", .text = "It is 7"}).reward, 0.0);
  EXPECT_EQ(score_of(config, {.gold = "7", .text = "\\boxed{7}"}).reward, 1.0);
  EXPECT_EQ(score_of(config, {.gold = "1/3", .text = "\\boxed{0.33333}"}).reward, 1.0);
  EXPECT_EQ(score_of(config, {.gold = "7", .text = "\\boxed{3+4}"}).reward, 1.0);
  config.verifier.calculations = false;
  EXPECT_EQ(score_of(config, {.gold = "7", .text = "\\boxed{3+4}"}).reward, 0.0);
  config.verifier.calculations = true;
  config.verifier.steps = 1;
  EXPECT_EQ(score_of(config, {.gold = "7", .text = "\\boxed{3+4}"}).verdict.kind, verifier::Verdict::Kind::kOverBudget);
}

TEST(Reward, TheVerdictIsThatOfTheFirstTermThatCompares) {
  const RewardConfig config{.terms = {term(TermType::kLength), term(TermType::kExact), term(TermType::kMath)}};
  EXPECT_EQ(score_of(config, {.gold = "3", .text = "\\boxed{3}"}).verdict.rule, "exact");
}

TEST(Reward, TermsOfOneTypeAreNumbered) {
  const auto regex = term(TermType::kRegex, 1.0, "x");
  EXPECT_THAT(make_reward({.terms = {regex, term(TermType::kMath), regex, regex}})->names(),
              ::testing::ElementsAre("regex", "math", "regex_2", "regex_3"));
}

// One batch has many prompts and answers; each is scored as if it were alone.
TEST(Reward, ScoresABatchItemByItem) {
  const std::vector<std::string> golds = {"7", "8"}, other = {"9"};
  const std::vector<Item> items = {{.golds = golds, .text = "\\boxed{8}"}, {.golds = other, .text = "\\boxed{8}"}};
  const auto scores = make_reward({.terms = {term(TermType::kMath)}})->score(items);
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_EQ(scores[0].reward, 1.0);  // the second of two right answers
  EXPECT_EQ(scores[1].reward, 0.0);
}

TEST(Reward, TheJudgeIsTheTermAskedForOrTheFirstThatCompares) {
  auto named = term(TermType::kExact);
  named.name = "same text";
  const RewardConfig config{.terms = {term(TermType::kLength), named, term(TermType::kMath)}};
  const auto judge = [&](const std::string& name) { return make_reward(judge_of(config, name))->names(); };
  EXPECT_THAT(judge("auto"), ::testing::ElementsAre("same text"));
  EXPECT_THAT(judge("math"), ::testing::ElementsAre("math"));
  EXPECT_THROW(judge("length"), base::ConfigError);
  EXPECT_THROW(judge("exact"), base::ConfigError);
  EXPECT_THAT(make_reward(judge_of({.terms = {term(TermType::kLength)}}, "auto"))->names(),
              ::testing::ElementsAre("math"));
}

TEST(Reward, WrongConfigurationsSayWhatIsWrong) {
  const auto message = [](const RewardConfig& config) -> std::string {
    try {
      make_reward(config);
    } catch (const base::ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message({.terms = {}}), ::testing::HasSubstr("at least one term"));
  EXPECT_THAT(message({.terms = {term(TermType::kRegex)}}), ::testing::HasSubstr("pattern"));
  EXPECT_THAT(message({.terms = {term(TermType::kMath, 1.0, "x")}}), ::testing::HasSubstr("not to math"));
  EXPECT_THAT(message({.terms = {term(TermType::kRegex, 1.0, "(")}}), ::testing::HasSubstr("parenthes"));
  using Change = void (*)(RewardTerm&);
  const std::map<std::string, Change> of_graders = {
      {"timeout_s", [](RewardTerm& term) { term.timeout_s = 5.0; }},
      {"workers", [](RewardTerm& term) { term.workers = 4; }},
      {"retries", [](RewardTerm& term) { term.retries = 0; }},
      {"on_failure", [](RewardTerm& term) { term.on_failure = OnFailure::kLeaveOut; }},
      {"right_at", [](RewardTerm& term) { term.right_at = 0.5; }}};
  for (const auto& [key, change] : of_graders) {
    auto changed = term(TermType::kMath);
    change(changed);
    EXPECT_THAT(message({.terms = {changed}}),
                ::testing::HasSubstr(key + " belongs to a command or http term, not to math"));
  }
  auto twice = term(TermType::kRegex, 1.0, "x");
  twice.name = "math";
  EXPECT_THAT(message({.terms = {term(TermType::kMath), twice}}), ::testing::HasSubstr("two terms are called math"));
  RewardConfig fallback{.terms = {term(TermType::kMath)}};
  fallback.verifier.fallbacks = {"last_number"};
  EXPECT_THAT(message(fallback), ::testing::HasSubstr("did you mean last-number"));
}

TEST(Reward, AcceptsAnyOfSeveralRightAnswers) {
  for (const TermType type : {TermType::kMath, TermType::kNumeric, TermType::kExact}) {
    const auto score = [&](const std::string& text) {
      return value(term(type, 2.0), {.gold = "7", .text = text, .also_right = {"8", "9"}});
    };
    EXPECT_EQ(score("7"), 2.0);
    EXPECT_EQ(score("9"), 2.0);
    EXPECT_EQ(score("10"), 0.0);
  }
}

TEST(Reward, KnowsHowLargeItsTermsWere) {
  const auto score = score_of({.terms = {term(TermType::kExact, 0.5), term(TermType::kLength, -0.25)}},
                              {.gold = "7", .text = "7", .num_tokens = 2});
  EXPECT_EQ(score.reward, 0.0);
  EXPECT_EQ(score.magnitude, 1.0);
}

TEST(GoldUse, IsTheMostThatATermDemands) {
  const auto use = [](const std::vector<TermType>& types) {
    RewardConfig config{.terms = {}, .verifier = {}};
    for (const TermType type : types) config.terms.push_back({.type = type, .weight = 1.0, .pattern = "x"});
    return gold_use(config);
  };
  EXPECT_EQ(use({TermType::kMath}), verifier::GoldUse::kAnswer);
  EXPECT_EQ(use({TermType::kExact}), verifier::GoldUse::kText);
  EXPECT_EQ(use({TermType::kLength, TermType::kNumeric}), verifier::GoldUse::kNumber);
  EXPECT_EQ(use({TermType::kNumeric, TermType::kMath}), verifier::GoldUse::kAnswer);
  EXPECT_EQ(use({TermType::kLength, TermType::kRegex}), verifier::GoldUse::kNone);
}

}  // namespace
}  // namespace grpo::reward
