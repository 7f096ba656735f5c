#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/verifier/response_checks.h"
#include "reward/countdown.h"
#include "reward/pattern.h"
#include "reward/term.h"

namespace grpo::reward {

using verifier::Verdict;
using verifier::VerifierOptions;

namespace {

TermValue from_verdict(Verdict verdict) {
  return {verdict.kind == Verdict::Kind::kRight ? 1.0 : 0.0, std::move(verdict)};
}

// Judges against one right answer after the other until one accepts. If none does, the
// verdict is that against the first.
template <typename Judge>
Verdict first_right(const Item& item, const Judge& judge) {
  Verdict first = judge(item.golds.front());
  for (size_t i = 1; first.kind != Verdict::Kind::kRight && i < item.golds.size(); ++i) {
    Verdict other = judge(item.golds[i]);
    if (other.kind == Verdict::Kind::kRight) return other;
  }
  return first;
}

class MathTerm : public ItemTerm {
 public:
  explicit MathTerm(VerifierOptions options) : options_(std::move(options)) {}

 private:
  TermValue value(const Item& item) const override {
    return from_verdict(
        first_right(item, [&](const std::string& gold) { return verifier::verify(gold, item.text, options_); }));
  }
  VerifierOptions options_;
};

class ExactTerm : public ItemTerm {
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

class NumericTerm : public ItemTerm {
  TermValue value(const Item& item) const override {
    return from_verdict(
        first_right(item, [&](const std::string& gold) { return verifier::verify_last_number(gold, item.text); }));
  }
};

class RegexTerm : public ItemTerm {
 public:
  explicit RegexTerm(const std::string& pattern) : pattern_(pattern) {}

 private:
  TermValue value(const Item& item) const override {
    auto [found, failure] = pattern_.find(item.text);
    if (!failure.empty()) return {.failure = std::move(failure)};
    return {.value = found ? 1.0 : 0.0};
  }
  Pattern pattern_;
};

class FormatTerm : public ItemTerm {
  TermValue value(const Item& item) const override {
    return {.value = verifier::has_boxed_answer(item.text) ? 1.0 : 0.0};
  }
};

class LengthTerm : public ItemTerm {
  TermValue value(const Item& item) const override { return {.value = static_cast<double>(item.ids.size())}; }
};

class CountdownTerm : public ItemTerm {
  TermValue value(const Item& item) const override {
    return from_verdict(first_right(item, [&](const std::string& gold) { return judge(gold, item); }));
  }

  static Verdict judge(const std::string& gold, const Item& item) {
    return judge_countdown(read_countdown(gold, item.row), item.text);
  }
};

}  // namespace

std::unique_ptr<Term> make_term(const RewardTerm& term, const std::string& name, const VerifierOptions& verifier) {
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
    case TermType::kCountdown:
      return std::make_unique<CountdownTerm>();
    case TermType::kCommand:
    case TermType::kHttp:
      return make_grader_term(term, name);
  }
  throw base::ConfigError("reward.terms: unknown type");
}

}  // namespace grpo::reward
