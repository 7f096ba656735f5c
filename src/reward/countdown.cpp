#include "reward/countdown.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/parse_json.h"
#include "reward/exact_value.h"

namespace grpo::reward {
namespace {

using verifier::Verdict;

constexpr size_t kLongestAnswer = 1000;
constexpr size_t kMostNumbers = 16;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

std::optional<std::string_view> last_tagged(std::string_view text) {
  constexpr std::string_view kOpen = "<answer>";
  const size_t close = text.rfind("</answer>");
  const size_t open = close == std::string_view::npos ? close : text.rfind(kOpen, close);
  if (open == std::string_view::npos) return {};
  return text.substr(open + kOpen.size(), close - open - kOpen.size());
}

std::optional<std::string_view> last_box(std::string_view text) {
  constexpr std::string_view kOpen = "\\boxed{";
  const size_t open = text.rfind(kOpen);
  if (open == std::string_view::npos) return {};
  int depth = 1;
  const size_t begin = open + kOpen.size();
  for (size_t i = begin; i < text.size(); ++i) {
    depth += text[i] == '{' ? 1 : text[i] == '}' ? -1 : 0;
    if (depth == 0) return text.substr(begin, i - begin);
  }
  return "";  // the response was cut off inside the box
}

std::string answer_of(std::string_view text) {
  auto answer = last_tagged(text);
  if (!answer) answer = last_box(text);
  if (!answer) {
    const auto all = base::trimmed(text);
    answer = all.substr(all.rfind('\n') + 1);  // for a single line rfind gives npos, and npos + 1 is 0
  }
  return std::string(base::trimmed(*answer));
}

std::string with_plain_signs(std::string text) {
  constexpr std::array<std::pair<const char*, const char*>, 8> kSigns = {{{"\\times", "*"},
                                                                          {"\\cdot", "*"},
                                                                          {"\\div", "/"},
                                                                          {"\xC3\x97", "*"},        // ×
                                                                          {"\xC2\xB7", "*"},        // ·
                                                                          {"\xC3\xB7", "/"},        // ÷
                                                                          {"\xE2\x88\x92", "-"},    // −
                                                                          {"\xE2\x88\x95", "/"}}};  // ∕
  for (const auto& [from, to] : kSigns) replace_all(text, from, to);
  return text;
}

bool is_worth(const ExactValue& value, int64_t target) {
  return value.kind == ExactValue::Kind::kValue && value.value.denominator == 1 && value.value.numerator == target;
}

std::string shown(Fraction value) {
  return base::concat(value.numerator, value.denominator == 1 ? "" : base::concat("/", value.denominator));
}

Verdict::Kind kind_of(ExactValue::Kind kind) {
  return kind == ExactValue::Kind::kMalformed ? Verdict::Kind::kUnparsable : Verdict::Kind::kOverBudget;
}

// Whether the text is the target as a single number.
bool is_target(std::string_view text, int64_t target) {
  const ExactValue value = evaluate_exactly(text);
  return value.numbers.size() == 1 && is_worth(value, target);
}

// Sets verdict.kind and verdict.reason.
void judge(const Countdown& countdown, std::string_view answer, Verdict& verdict) {
  const size_t equals = answer.find('=');
  ExactValue made = evaluate_exactly(answer.substr(0, equals));
  std::sort(made.numbers.begin(), made.numbers.end());
  verdict.kind = Verdict::Kind::kWrong;
  if (made.kind != ExactValue::Kind::kValue) {
    verdict.kind = kind_of(made.kind);
    verdict.reason = made.why;
  } else if (made.numbers != countdown.numbers) {
    verdict.reason = "it does not use each of the numbers once";
  } else if (!is_worth(made, countdown.target)) {
    verdict.reason = "its value is " + shown(made.value);
  } else if (equals != std::string_view::npos && !is_target(answer.substr(equals + 1), countdown.target)) {
    verdict.reason = "what follows = is not the target";
  } else {
    verdict.kind = Verdict::Kind::kRight;
  }
}

}  // namespace

Countdown read_countdown(const std::string& gold, std::string_view row) {
  Countdown countdown;
  const auto target = base::trimmed(gold);
  const auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), countdown.target);
  if (error != std::errc() || end != target.data() + target.size())
    throw base::Error("countdown: the gold answer \"" + gold.substr(0, kLongestAnswer) +
                      "\" is no target, expected an integer");
  const auto fields = io::parse_json(row.empty() ? "{}" : row, "countdown");
  const auto numbers = fields.find("nums");
  const bool listed =
      numbers != fields.end() && numbers->is_array() && !numbers->empty() && numbers->size() <= kMostNumbers;
  // An expression's numbers have no sign: with a number below 0 no answer could ever be right.
  const auto can_be_used = [](const auto& n) {
    return n.is_number_unsigned() && n.template get<uint64_t>() <= INT64_MAX;
  };
  if (!listed || !std::all_of(numbers->begin(), numbers->end(), can_be_used))
    throw base::Error("countdown: the row has no nums, expected a list of 1 to 16 integers from 0");
  countdown.numbers = numbers->get<std::vector<int64_t>>();
  std::sort(countdown.numbers.begin(), countdown.numbers.end());
  return countdown;
}

Verdict judge_countdown(const Countdown& countdown, std::string_view text) {
  const std::string answer = answer_of(text);
  Verdict verdict{.kind = Verdict::Kind::kOverBudget,
                  .gold_parsed = std::to_string(countdown.target),
                  .pred_parsed = answer.substr(0, kLongestAnswer),
                  .rule = "countdown",
                  .reason = ""};
  if (answer.size() > kLongestAnswer) {
    verdict.reason = "it is too long";
  } else {
    judge(countdown, with_plain_signs(answer), verdict);
  }
  return verdict;
}

}  // namespace grpo::reward
