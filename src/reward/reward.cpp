#include "grpo/reward/reward.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

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
  std::optional<Verdict> verdict = std::nullopt;
  const char* failure = nullptr;  // why the value is not known
};

/// One kind of reward.
class Term {
 public:
  virtual ~Term() = default;
  virtual TermValue value(const Item& item) const = 0;
};

TermValue from_verdict(Verdict verdict) {
  return {verdict.kind == Verdict::Kind::kRight ? 1.0 : 0.0, std::move(verdict)};
}

// Judges against one right answer after the other until one accepts; else the verdict against the first.
template <typename Judge>
Verdict first_right(const Item& item, const Judge& judge) {
  Verdict first = judge(item.golds.front());
  for (size_t i = 1; first.kind != Verdict::Kind::kRight && i < item.golds.size(); ++i) {
    Verdict other = judge(item.golds[i]);
    if (other.kind == Verdict::Kind::kRight) return other;
  }
  return first;
}

class MathTerm : public Term {
 public:
  explicit MathTerm(VerifierConfig config) : config_(std::move(config)) {}

 private:
  TermValue value(const Item& item) const override {
    return from_verdict(
        first_right(item, [&](const std::string& gold) { return verifier::verify(gold, item.text, config_); }));
  }
  VerifierConfig config_;
};

class ExactTerm : public Term {
  TermValue value(const Item& item) const override {
    return from_verdict(first_right(item, [&](const std::string& gold) { return compare(gold, item.text); }));
  }

  static Verdict compare(std::string_view gold, std::string_view text) {
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
  TermValue value(const Item& item) const override {
    return from_verdict(
        first_right(item, [&](const std::string& gold) { return verifier::verify_last_number(gold, item.text); }));
  }
};

class RegexTerm : public Term {
 public:
  explicit RegexTerm(const std::string& pattern) : pattern_(pattern) {}

 private:
  TermValue value(const Item& item) const override {
    const auto match = pattern_.find(item.text);
    if (match == Pattern::Match::kOverBudget) return {.failure = "its pattern takes too many steps on this text"};
    return {.value = match == Pattern::Match::kYes ? 1.0 : 0.0};
  }
  Pattern pattern_;
};

class FormatTerm : public Term {
  TermValue value(const Item& item) const override {
    return {.value = verifier::has_boxed_answer(item.text) ? 1.0 : 0.0};
  }
};

class LengthTerm : public Term {
  TermValue value(const Item& item) const override { return {.value = static_cast<double>(item.ids.size())}; }
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

std::string type_name(const RewardTerm& term) { return enum_names(term.type)[static_cast<size_t>(term.type)]; }

// A term without a name is called by its type, and the second one of a type "regex_2".
std::vector<std::string> names_of(const std::vector<RewardTerm>& terms) {
  std::vector<std::string> names;
  std::map<TermType, int> unnamed;
  for (const RewardTerm& term : terms) {
    const int number = term.name.empty() ? ++unnamed[term.type] : 0;
    names.push_back(!term.name.empty() ? term.name
                    : number == 1      ? type_name(term)
                                       : base::concat(type_name(term), "_", number));
  }
  return names;
}

class WeightedSum : public RewardFunction {
 public:
  explicit WeightedSum(const RewardConfig& config) {
    const VerifierConfig verifier = verifier_config(config.verifier);
    const auto names = names_of(config.terms);
    for (size_t i = 0; i < names.size(); ++i)
      parts_.push_back({names[i], config.terms[i].weight, make_term(config.terms[i], verifier)});
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    for (const auto& part : parts_) names.push_back(part.name);
    return names;
  }

  std::vector<Score> score(std::span<const Item> items) const override {
    std::vector<Score> scores;
    for (const Item& item : items) scores.push_back(score(item));
    return scores;
  }

 private:
  struct Part {
    std::string name;
    double weight;
    std::unique_ptr<Term> term;
  };

  Score score(const Item& item) const {
    Score score;
    bool judged = false;
    for (const auto& part : parts_) {
      auto result = part.term->value(item);
      if (result.failure != nullptr) score.failure = part.name + ": " + result.failure;
      score.values.push_back(result.value);
      score.reward += part.weight * result.value;
      score.magnitude += std::abs(part.weight * result.value);
      if (result.verdict && !judged) {
        score.verdict = std::move(*result.verdict);
        judged = true;
      }
    }
    return score;
  }

  std::vector<Part> parts_;
};

bool compares_with_gold(const RewardTerm& term) {
  return term.type == TermType::kMath || term.type == TermType::kExact || term.type == TermType::kNumeric;
}

void check(const RewardTerm& term) {
  const bool regex = term.type == TermType::kRegex;
  if (regex && term.pattern.empty())
    throw base::ConfigError("reward.terms: a regex term needs a pattern, such as {type: regex, pattern: '\\d+'}");
  if (!regex && !term.pattern.empty()) {
    throw base::ConfigError(base::concat("reward.terms: pattern belongs to a regex term, not to ", type_name(term)));
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

RewardConfig judge_of(const RewardConfig& config, const std::string& judge) {
  RewardConfig judging = config;
  judging.terms.clear();
  const auto names = names_of(config.terms);
  for (size_t i = 0; i < names.size(); ++i) {
    if (compares_with_gold(config.terms[i]) && (judge == "auto" || names[i] == judge))
      judging.terms.push_back(config.terms[i]);
  }
  if (judging.terms.empty() && judge != "auto") {
    throw base::ConfigError(
        "eval.judge: no term of reward.terms that compares with the gold answer (math, exact, "
        "numeric) is called " +
        judge);
  }
  if (judging.terms.empty()) judging.terms = {RewardTerm{}};
  judging.terms.resize(1);
  return judging;
}

std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config) {
  if (config.terms.empty())
    throw base::ConfigError("reward.terms: name at least one term, such as {type: math, weight: 1.0}");
  for (const auto& term : config.terms) check(term);
  std::set<std::string> known;
  for (const auto& name : names_of(config.terms)) {
    if (!known.insert(name).second)
      throw base::ConfigError("reward.terms: two terms are called " + name + "; give each a name of its own");
  }
  return std::make_unique<WeightedSum>(config);
}

}  // namespace grpo::reward
