#include "grpo/reward/reward.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/verifier/response_checks.h"
#include "reward/pattern.h"

namespace grpo::reward {

using verifier::GoldUse;
using verifier::Verdict;
using verifier::VerifierConfig;

namespace {

struct TermValue {
  double value = 0.0;
  std::optional<Verdict> verdict;
};

/// One kind of reward.
class Term {
 public:
  virtual ~Term() = default;
  virtual TermValue value(const Answer& answer) const = 0;
};

TermValue from_verdict(Verdict verdict) {
  return {verdict.kind == Verdict::Kind::kRight ? 1.0 : 0.0, std::move(verdict)};
}

// Judges against one right answer after the other until one accepts; else the verdict against the first.
template <typename Judge>
Verdict first_right(const Answer& answer, const Judge& judge) {
  Verdict first = judge(answer.gold);
  for (size_t i = 0; first.kind != Verdict::Kind::kRight && i < answer.also_right.size(); ++i) {
    Verdict other = judge(answer.also_right[i]);
    if (other.kind == Verdict::Kind::kRight) return other;
  }
  return first;
}

class MathTerm : public Term {
 public:
  explicit MathTerm(VerifierConfig config) : config_(std::move(config)) {}

 private:
  TermValue value(const Answer& answer) const override {
    return from_verdict(
        first_right(answer, [&](const std::string& gold) { return verifier::verify(gold, answer.text, config_); }));
  }
  VerifierConfig config_;
};

class ExactTerm : public Term {
  TermValue value(const Answer& answer) const override {
    return from_verdict(first_right(answer, [&](const std::string& gold) { return compare(gold, answer.text); }));
  }

  static Verdict compare(const std::string& gold, const std::string& text) {
    Verdict verdict{.kind = Verdict::Kind::kRight,
                    .gold_parsed = std::string(base::trimmed(gold)),
                    .pred_parsed = std::string(base::trimmed(text)),
                    .rule = "exact",
                    .reason = ""};
    if (verdict.gold_parsed != verdict.pred_parsed) {
      verdict.kind = Verdict::Kind::kWrong;
      verdict.reason = "the texts differ";
    }
    return verdict;
  }
};

class NumericTerm : public Term {
  TermValue value(const Answer& answer) const override {
    return from_verdict(
        first_right(answer, [&](const std::string& gold) { return verifier::verify_last_number(gold, answer.text); }));
  }
};

class RegexTerm : public Term {
 public:
  explicit RegexTerm(const std::string& pattern) : pattern_(pattern) {}

 private:
  TermValue value(const Answer& answer) const override {
    return {pattern_.find(answer.text) == Pattern::Match::kYes ? 1.0 : 0.0, std::nullopt};
  }
  Pattern pattern_;
};

class FormatTerm : public Term {
  TermValue value(const Answer& answer) const override {
    return {verifier::has_boxed_answer(answer.text) ? 1.0 : 0.0, std::nullopt};
  }
};

class LengthTerm : public Term {
  TermValue value(const Answer& answer) const override {
    return {static_cast<double>(answer.num_tokens), std::nullopt};
  }
};

/// The table of reward types.
std::unique_ptr<Term> make_term(const RewardTerm& term, const VerifierConfig& verifier) {
  switch (term.type) {
    case TermType::kMath:
      return std::make_unique<MathTerm>(verifier);
    case TermType::kExact:
      return std::make_unique<ExactTerm>();
    case TermType::kNumeric:
      return std::make_unique<NumericTerm>();
    case TermType::kRegex:
      return std::make_unique<RegexTerm>(term.pattern);
    case TermType::kFormat:
      return std::make_unique<FormatTerm>();
    case TermType::kLength:
      return std::make_unique<LengthTerm>();
  }
  throw base::ConfigError("reward.terms: unknown type");
}

class WeightedSum : public RewardFunction {
 public:
  explicit WeightedSum(const RewardConfig& config) {
    const VerifierConfig verifier = verifier_config(config.verifier);
    for (const auto& term : config.terms) parts_.push_back({term.weight, make_term(term, verifier)});
  }

  Score score(const Answer& answer) const override {
    Score score;
    bool judged = false;
    for (const auto& part : parts_) {
      auto result = part.term->value(answer);
      score.reward += part.weight * result.value;
      score.magnitude += std::abs(part.weight * result.value);
      if (result.verdict && !judged) {
        score.verdict = std::move(*result.verdict);
        judged = true;
      }
    }
    return score;
  }

 private:
  struct Part {
    double weight;
    std::unique_ptr<Term> term;
  };
  std::vector<Part> parts_;
};

void check(const RewardTerm& term) {
  const bool regex = term.type == TermType::kRegex;
  if (regex && term.pattern.empty())
    throw base::ConfigError("reward.terms: a regex term needs a pattern, such as {type: regex, pattern: '\\d+'}");
  if (!regex && !term.pattern.empty()) {
    throw base::ConfigError(base::concat("reward.terms: pattern belongs to a regex term, not to ",
                                         enum_names(term.type)[static_cast<size_t>(term.type)]));
  }
}

}  // namespace

VerifierConfig verifier_config(const VerifierOptions& options) {
  VerifierConfig config;
  config.fallbacks = verifier::fallbacks_named(options.fallbacks);
  config.decimal_digits = static_cast<int>(options.decimal_digits);
  config.steps = options.steps;
  return config;
}

GoldUse gold_use(const RewardConfig& config) {
  const auto has = [&](TermType type) {
    return std::any_of(config.terms.begin(), config.terms.end(),
                       [&](const RewardTerm& term) { return term.type == type; });
  };
  if (has(TermType::kMath)) return GoldUse::kAnswer;
  if (has(TermType::kNumeric)) return GoldUse::kNumber;
  return has(TermType::kExact) ? GoldUse::kText : GoldUse::kNone;
}

std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config) {
  if (config.terms.empty())
    throw base::ConfigError("reward.terms: name at least one term, such as {type: math, weight: 1.0}");
  for (const auto& term : config.terms) check(term);
  return std::make_unique<WeightedSum>(config);
}

}  // namespace grpo::reward
