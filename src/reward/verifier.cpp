#include "grpo/reward/verifier.h"

#include <flint/fmpq.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "reward/extract.h"

namespace grpo::reward {
namespace {

constexpr size_t kMostDigits = 10000;  // longer numbers are over budget

// A FLINT rational that frees itself.
class Rational {
 public:
  Rational() { fmpq_init(value_); }
  ~Rational() { fmpq_clear(value_); }
  Rational(const Rational&) = delete;
  Rational& operator=(const Rational&) = delete;
  fmpq* get() { return value_; }
  bool operator==(const Rational& other) const { return fmpq_equal(value_, other.value_) != 0; }

 private:
  fmpq_t value_;
};

std::string strip(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (std::isspace(static_cast<unsigned char>(text[i])) != 0 || text[i] == '$') continue;
    out += text[i];
  }
  for (const std::string_view spacing : {"\\,", "\\!", "\\;", "\\:", "\\left", "\\right"}) {
    for (size_t at = out.find(spacing); at != std::string::npos; at = out.find(spacing)) out.erase(at, spacing.size());
  }
  while (!out.empty() && out.back() == '.') out.pop_back();
  return out;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "1,234,567" -> "1234567"; anything else that holds a comma is no number.
std::optional<std::string> without_separators(std::string_view text) {
  if (text.find(',') == std::string_view::npos) return std::string(text);
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != ',') {
      out += text[i];
      continue;
    }
    const std::string_view group = text.substr(i + 1, 3);
    if (i == 0 || !all_digits(group) || group.size() != 3) return std::nullopt;
    if (i + 4 < text.size() && text[i + 4] != ',' && text[i + 4] != '.') return std::nullopt;
  }
  return out;
}

bool parse_decimal(std::string_view text, Rational& value) {
  const auto plain = without_separators(text);
  if (!plain) return false;
  const size_t point = plain->find('.');
  const std::string whole = plain->substr(0, point);
  const std::string fraction = point == std::string::npos ? "" : plain->substr(point + 1);
  const std::string digits = whole + fraction;
  if (!all_digits(digits)) return false;
  if (fmpz_set_str(fmpq_numref(value.get()), digits.c_str(), 10) != 0) return false;
  fmpz_set_ui(fmpq_denref(value.get()), 10);
  fmpz_pow_ui(fmpq_denref(value.get()), fmpq_denref(value.get()), fraction.size());
  fmpq_canonicalise(value.get());
  return true;
}

bool parse_quotient(std::string_view top, std::string_view bottom, Rational& value) {
  Rational a, b;
  if (!parse_decimal(top, a) || !parse_decimal(bottom, b) || fmpq_is_zero(b.get())) return false;
  fmpq_div(value.get(), a.get(), b.get());
  return true;
}

// Integers, decimals, a/b and \frac{a}{b}, with a sign.
bool parse_number(std::string_view text, Rational& value) {
  bool negative = false;
  while (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative ^= text[0] == '-';
    text.remove_prefix(1);
  }
  bool parsed = false;
  for (const std::string_view command : {"\\frac{", "\\dfrac{", "\\tfrac{"}) {
    if (text.rfind(command, 0) != 0 || text.back() != '}') continue;
    const std::string_view inner = text.substr(command.size(), text.size() - command.size() - 1);
    const size_t middle = inner.find("}{");
    parsed = middle != std::string_view::npos && parse_quotient(inner.substr(0, middle), inner.substr(middle + 2), value);
  }
  const size_t slash = text.find('/');
  if (!parsed && slash != std::string_view::npos) parsed = parse_quotient(text.substr(0, slash), text.substr(slash + 1), value);
  if (!parsed) parsed = parse_decimal(text, value);
  if (parsed && negative) fmpq_neg(value.get(), value.get());
  return parsed;
}

}  // namespace

std::string to_string(Verdict::Kind kind) {
  switch (kind) {
    case Verdict::Kind::kRight: return "right";
    case Verdict::Kind::kWrong: return "wrong";
    case Verdict::Kind::kUnparsable: return "unparsable";
    case Verdict::Kind::kOverBudget: return "over-budget";
  }
  return "unparsable";
}

Verdict verify(std::string_view gold, std::string_view text) {
  Verdict verdict;
  const auto gold_box = last_box(gold);
  verdict.gold_parsed = strip(gold_box ? *gold_box : std::string(gold));
  const auto found = extract_answer(text);
  if (!found) {
    verdict.reason = "the response holds no final answer";
    return verdict;
  }
  verdict.rule = found->rule;
  verdict.pred_parsed = strip(found->text);
  if (verdict.pred_parsed.empty()) {
    verdict.reason = "the final answer is empty";
    return verdict;
  }
  if (std::max(verdict.pred_parsed.size(), verdict.gold_parsed.size()) > kMostDigits) {
    verdict.kind = Verdict::Kind::kOverBudget;
    verdict.reason = "an answer is too long";
    return verdict;
  }
  Rational a, b;
  const bool numbers = parse_number(verdict.gold_parsed, a) && parse_number(verdict.pred_parsed, b);
  const bool equal = numbers ? a == b : verdict.gold_parsed == verdict.pred_parsed;
  verdict.kind = equal ? Verdict::Kind::kRight : Verdict::Kind::kWrong;
  if (!equal) verdict.reason = "the answers differ";
  return verdict;
}

}  // namespace grpo::reward
