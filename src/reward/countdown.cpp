#include "reward/countdown.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/io/parse_json.h"

namespace grpo::reward {
namespace {

using verifier::Verdict;

constexpr size_t kLongest = 1000;
constexpr int kDeepest = 100;
constexpr size_t kMostNumbers = 16;

struct OverBudget {};
struct Malformed {
  std::string why;
};

// A fraction in lowest terms with a positive denominator.
struct Fraction {
  int64_t over, under;
};

int64_t product(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) throw OverBudget{};
  return result;
}

int64_t sum(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_add_overflow(a, b, &result)) throw OverBudget{};
  return result;
}

Fraction fraction(int64_t over, int64_t under) {
  if (under == 0) throw Malformed{"it divides by zero"};
  const int64_t common = std::gcd(over, under);  // of magnitudes
  const int64_t sign = under < 0 ? -1 : 1;
  return {product(sign, over / common), product(sign, under / common)};
}

Fraction apply(char operation, Fraction a, Fraction b) {
  if (operation == '*') return fraction(product(a.over, b.over), product(a.under, b.under));
  if (operation == '/') return fraction(product(a.over, b.under), product(a.under, b.over));
  const int64_t right = product(b.over, a.under);
  return fraction(sum(product(a.over, b.under), operation == '+' ? right : product(-1, right)),
                  product(a.under, b.under));
}

/// Evaluates one expression by recursive descent and notes the numbers it uses.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Fraction all() {
    const Fraction value = expression();
    if (peek() != 0) throw Malformed{"it is no expression of numbers, + - * / and brackets"};
    return value;
  }
  std::vector<int64_t> numbers;  // in their order

 private:
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  Fraction expression() {
    Fraction value = term();
    while (peek() == '+' || peek() == '-') {
      const char operation = text_[at_++];
      value = apply(operation, value, term());
    }
    return value;
  }

  Fraction term() {
    Fraction value = factor();
    while (peek() == '*' || peek() == '/') {
      const char operation = text_[at_++];
      value = apply(operation, value, factor());
    }
    return value;
  }

  Fraction factor() {
    if (++depth_ > kDeepest) throw OverBudget{};
    const Fraction value = signed_factor();
    --depth_;
    return value;
  }

  Fraction signed_factor() {
    const char next = peek();
    if (next != '-' && next != '+' && next != '(') return number();
    ++at_;
    if (next == '-') return apply('*', {-1, 1}, factor());
    if (next == '+') return factor();
    const Fraction value = expression();
    if (peek() != ')') throw Malformed{"a bracket is not closed"};
    ++at_;
    return value;
  }

  Fraction number() {
    int64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) throw OverBudget{};
    if (error != std::errc() || *begin == '-') throw Malformed{"it is no expression of numbers, + - * / and brackets"};
    at_ += static_cast<size_t>(end - begin);
    numbers.push_back(value);
    return {value, 1};
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

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
  return "";  // cut off
}

std::string answer_of(std::string_view text) {
  auto answer = last_tagged(text);
  if (!answer) answer = last_box(text);
  if (!answer) {
    const auto all = base::trimmed(text);
    answer = all.substr(all.rfind('\n') + 1);  // of one line npos + 1, which is 0
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

bool is_worth(Fraction value, int64_t target) { return value.under == 1 && value.over == target; }

// Why the answer is wrong; empty when it is right.
std::string why_wrong(const Countdown& countdown, std::string_view answer) {
  const size_t equals = answer.find('=');
  Parser parser(answer.substr(0, equals));
  const Fraction value = parser.all();
  std::sort(parser.numbers.begin(), parser.numbers.end());
  if (parser.numbers != countdown.numbers) return "it does not use each of the numbers once";
  if (!is_worth(value, countdown.target))
    return base::concat("its value is ", value.over, value.under == 1 ? "" : base::concat("/", value.under));
  if (equals == std::string_view::npos) return "";
  Parser claimed(answer.substr(equals + 1));
  return is_worth(claimed.all(), countdown.target) && claimed.numbers.size() == 1
             ? ""
             : "it says that it equals another number";
}

}  // namespace

Countdown read_countdown(const std::string& gold, std::string_view row) {
  Countdown countdown;
  const auto target = base::trimmed(gold);
  const auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), countdown.target);
  if (error != std::errc() || end != target.data() + target.size())
    throw base::Error("countdown: the gold answer \"" + gold.substr(0, kLongest) +
                      "\" is no target, expected an integer");
  const auto fields = io::parse_json(row.empty() ? "{}" : row, "countdown");
  const auto numbers = fields.find("nums");
  const bool listed =
      numbers != fields.end() && numbers->is_array() && !numbers->empty() && numbers->size() <= kMostNumbers;
  if (!listed || !std::all_of(numbers->begin(), numbers->end(), [](const auto& n) { return n.is_number_integer(); }))
    throw base::Error("countdown: the row has no nums, expected a list of 1 to 16 integers");
  countdown.numbers = numbers->get<std::vector<int64_t>>();
  std::sort(countdown.numbers.begin(), countdown.numbers.end());
  return countdown;
}

Verdict judge_countdown(const Countdown& countdown, std::string_view text) {
  const std::string answer = answer_of(text);
  Verdict verdict{.kind = Verdict::Kind::kOverBudget,
                  .gold_parsed = std::to_string(countdown.target),
                  .pred_parsed = answer.substr(0, kLongest),
                  .rule = "countdown",
                  .reason = "it is too long, too deep or its numbers too large"};
  if (answer.size() > kLongest) return verdict;
  try {
    verdict.reason = why_wrong(countdown, with_plain_signs(answer));
    verdict.kind = verdict.reason.empty() ? Verdict::Kind::kRight : Verdict::Kind::kWrong;
  } catch (const Malformed& malformed) {
    verdict.kind = Verdict::Kind::kUnparsable;
    verdict.reason = malformed.why;
  } catch (const OverBudget&) {
  }
  return verdict;
}

}  // namespace grpo::reward
