#include "grpo/reward/reward.h"

#include <optional>

#include "grpo/base/error.h"
#include "reward/extract.h"

namespace grpo::reward {
namespace {

std::string trim(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

struct TermResult {
  double value = 0.0;
  std::optional<Verdict> verdict;
};

TermResult from_verdict(Verdict verdict) {
  return {verdict.kind == Verdict::Kind::kRight ? 1.0 : 0.0, std::move(verdict)};
}

TermResult math(const Answer& answer) { return from_verdict(verify(answer.gold, answer.text)); }

TermResult exact(const Answer& answer) {
  Verdict verdict{.kind = Verdict::Kind::kWrong, .gold_parsed = trim(answer.gold), .pred_parsed = trim(answer.text), .rule = "exact",
                  .reason = ""};
  if (verdict.gold_parsed == verdict.pred_parsed) verdict.kind = Verdict::Kind::kRight;
  return from_verdict(std::move(verdict));
}

TermResult numeric(const Answer& answer) {
  const auto number = last_number(answer.text);
  return from_verdict(number ? verify(answer.gold, *number) : Verdict{.reason = "no number"});
}

TermResult format(const Answer& answer) { return {last_box(answer.text) ? 1.0 : 0.0, std::nullopt}; }

TermResult length(const Answer& answer) { return {static_cast<double>(answer.num_tokens), std::nullopt}; }

// In the order of TermType.
constexpr TermResult (*kTerms[])(const Answer&) = {math, exact, numeric, format, length};

class WeightedSum : public RewardFunction {
 public:
  explicit WeightedSum(std::vector<RewardTerm> terms) : terms_(std::move(terms)) {}

  Score score(const Answer& answer) const override {
    Score score;
    bool judged = false;
    for (const auto& term : terms_) {
      auto result = kTerms[static_cast<size_t>(term.type)](answer);
      score.reward += term.weight * result.value;
      if (result.verdict && !judged) {
        score.verdict = std::move(*result.verdict);
        judged = true;
      }
    }
    return score;
  }

 private:
  std::vector<RewardTerm> terms_;
};

}  // namespace

std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config) {
  if (config.terms.empty()) throw base::ConfigError("reward.terms: name at least one term, such as {type: math, weight: 1.0}");
  return std::make_unique<WeightedSum>(config.terms);
}

}  // namespace grpo::reward
