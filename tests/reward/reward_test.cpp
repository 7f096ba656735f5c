#include "grpo/reward/reward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpo/base/error.h"

namespace grpo::reward {
namespace {

RewardTerm term(TermType type, double weight = 1.0, std::string pattern = "") {
  return {.type = type, .weight = weight, .pattern = std::move(pattern)};
}

double value(const RewardTerm& one, const Answer& answer) {
  return make_reward({.terms = {one}})->score(answer).reward;
}

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

TEST(Reward, RegexThatBacktracksForeverEnds) {
  EXPECT_EQ(value(term(TermType::kRegex, 1.0, "^(a+)+$"), {.gold = "", .text = std::string(5000, 'a') + "b"}), 0.0);
}

TEST(Reward, FormatWantsACompleteBox) {
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "\\boxed{1}"}), 1.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "\\boxed{1"}), 0.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "\\boxed{ }"}), 0.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "<think>\\boxed{1}</think>"}), 0.0);
  EXPECT_EQ(value(term(TermType::kFormat), {.gold = "", .text = "1"}), 0.0);
}

TEST(Reward, LengthCountsTokens) {
  EXPECT_EQ(value(term(TermType::kLength, -0.01), {.gold = "", .text = "", .truncated = false, .num_tokens = 300}),
            -3.0);
}

TEST(Reward, TermsAddUpWithTheirWeights) {
  const auto reward = make_reward(
      {.terms = {term(TermType::kFormat, 0.25), term(TermType::kMath, 2.0), term(TermType::kLength, -0.5)}});
  const Score score = reward->score({.gold = "3", .text = "\\boxed{3}", .truncated = false, .num_tokens = 4});
  EXPECT_DOUBLE_EQ(score.reward, 0.25 + 2.0 - 2.0);
  EXPECT_EQ(score.verdict.kind, verifier::Verdict::Kind::kRight);
}

TEST(Reward, VerifierOptionsReachTheVerifier) {
  RewardConfig config{.terms = {term(TermType::kMath)}};
  EXPECT_EQ(make_reward(config)->score({.gold = "7", .text = "It is 7"}).reward, 1.0);
  EXPECT_EQ(make_reward(config)->score({.gold = "1/3", .text = "\\boxed{0.33333}"}).reward, 0.0);
  config.verifier.fallbacks = {};
  config.verifier.decimal_digits = 4;
  EXPECT_EQ(make_reward(config)->score({.gold = "7", .text = "It is 7"}).reward, 0.0);
  EXPECT_EQ(make_reward(config)->score({.gold = "7", .text = "\\boxed{7}"}).reward, 1.0);
  EXPECT_EQ(make_reward(config)->score({.gold = "1/3", .text = "\\boxed{0.33333}"}).reward, 1.0);
  config.verifier.steps = 1;
  EXPECT_EQ(make_reward(config)->score({.gold = "7", .text = "\\boxed{3+4}"}).verdict.kind,
            verifier::Verdict::Kind::kOverBudget);
}

TEST(Reward, TheVerdictIsThatOfTheFirstTermThatCompares) {
  const auto reward = make_reward({.terms = {term(TermType::kLength), term(TermType::kExact), term(TermType::kMath)}});
  EXPECT_EQ(reward->score({.gold = "3", .text = "\\boxed{3}"}).verdict.rule, "exact");
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
  RewardConfig fallback{.terms = {term(TermType::kMath)}};
  fallback.verifier.fallbacks = {"last_number"};
  EXPECT_THAT(message(fallback), ::testing::HasSubstr("did you mean last-number"));
}

TEST(Reward, AcceptsAnyOfSeveralRightAnswers) {
  for (const TermType type : {TermType::kMath, TermType::kNumeric, TermType::kExact}) {
    const auto reward = make_reward({.terms = {{.type = type, .weight = 2.0, .pattern = ""}}, .verifier = {}});
    const auto score = [&](const std::string& text) {
      return reward->score({.gold = "7", .text = text, .also_right = {"8", "9"}}).reward;
    };
    EXPECT_EQ(score("7"), 2.0);
    EXPECT_EQ(score("9"), 2.0);
    EXPECT_EQ(score("10"), 0.0);
  }
}

TEST(Reward, KnowsHowLargeItsTermsWere) {
  const auto reward = make_reward({.terms = {{.type = TermType::kExact, .weight = 0.5, .pattern = ""},
                                             {.type = TermType::kLength, .weight = -0.25, .pattern = ""}},
                                   .verifier = {}});
  const auto score = reward->score({.gold = "7", .text = "7", .num_tokens = 2});
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
