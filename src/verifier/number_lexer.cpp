#include "verifier/number_lexer.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include "verifier/budget.h"
#include "verifier/char_class.h"

namespace grpo::verifier {
namespace {

constexpr size_t kMaxDigits = 12000;
constexpr int64_t kMaxExponent = 10000;

size_t digits_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_digit(text[end])) ++end;
  return end - at;
}

bool starts(std::string_view text, size_t at, std::string_view what) { return text.substr(at, what.size()) == what; }

// Length of a separator at `at` that groups digits in any context, or 0: TeX's ways to write one, "~" or a space.
size_t sure_separator(std::string_view text, size_t at) {
  static constexpr std::array<std::string_view, 13> kSeparators = {
      "{,}\\!", "{,}", "\\!,", ",\\!\\!", ",\\! ", ",\\!", "\\,", "\\;", "\\ ", "\\:", "~", " ", "{\\,}"};
  for (const auto& separator : kSeparators) {
    if (starts(text, at, separator)) return separator.size();
  }
  return 0;
}

// Appends the groups of three digits from `at` on to `digits` and returns the position behind them. length(i) is the
// length of a separator at i, or 0.
template <typename SeparatorLength>
size_t grouped_end(std::string_view text, size_t at, SeparatorLength length, std::string& digits) {
  size_t end = at;
  while (const size_t skip = length(end)) {
    if (digits_at(text, end + skip) != 3) break;
    digits += text.substr(end + skip, 3);
    end += skip + 3;
  }
  return end;
}

struct Scanner {
  std::string_view text;
  size_t at = 0;
  std::string whole;
  std::string fraction;

  void read_whole(bool commas_group) {
    const size_t lead = digits_at(text, at);
    whole = text.substr(at, lead);
    at += lead;
    if (lead == 0 || lead > 3) return;
    if (read_groups([&](size_t i) { return sure_separator(text, i); }, [](size_t) { return true; })) return;
    const auto python = [&](size_t i) { return starts(text, i, "_") ? size_t{1} : size_t{0}; };  // 1_000
    if (read_groups(python, [&](size_t end) { return !starts(text, end, "_"); })) return;
    if (!commas_group || whole == "0") return;
    // 1,234,567 but not 100,200,30 and not 1,234,5678.
    const auto no_more_items = [&](size_t end) {
      return end + 1 >= text.size() || text[end] != ',' || !is_digit(text[end + 1]);
    };
    if (read_groups([&](size_t i) { return starts(text, i, ",") ? size_t{1} : size_t{0}; }, no_more_items)) return;
    read_european();
  }

  template <typename SeparatorLength, typename Accept>
  bool read_groups(SeparatorLength length, Accept accept) {
    std::string digits;
    const size_t end = grouped_end(text, at, length, digits);
    if (digits.empty() || !accept(end)) return false;
    whole += digits;
    at = end;
    return true;
  }

  // 1.234,56 and 1.234.567: points group when a decimal comma follows or there are two of them.
  void read_european() {
    std::string digits;
    const size_t end = grouped_end(
        text, at, [&](size_t i) { return starts(text, i, ".") ? size_t{1} : size_t{0}; }, digits);
    const bool comma =
        end < text.size() && text[end] == ',' && digits_at(text, end + 1) > 0 && digits_at(text, end + 1) != 3;
    if (digits.empty() || !(comma || digits.size() >= 6)) return;
    whole += digits;
    at = end;
    if (!comma) return;
    fraction = text.substr(end + 1, digits_at(text, end + 1));
    at = end + 1 + fraction.size();
  }

  bool read_fraction() {
    if (at >= text.size() || text[at] != '.') return false;
    const size_t count = digits_at(text, at + 1);
    const bool dots = starts(text, at + 1, "\\dots");
    const bool repeats =
        starts(text, at + 1, "\\overline") || (starts(text, at + 1, "\\dot") && !dots) || starts(text, at + 1, "\\bar");
    if (count == 0 && !repeats && starts(text, at + 1, ".")) return false;  // 1...
    fraction = text.substr(at + 1, count);
    at += 1 + count;
    return true;
  }

  // \overline{142857}, \bar{3}, \dot{3}: the digits that repeat. Of \dot{1}42\dot{9} the dots mark the first and the
  // last.
  std::string read_period() {
    for (const std::string_view mark : {"\\overline", "\\bar", "\\dot"}) {
      if (!starts(text, at, mark) || starts(text, at, "\\dots")) continue;
      std::string period = read_marked(mark);
      if (period.empty() || mark != "\\dot") return period;
      const size_t middle = digits_at(text, at);
      if (!starts(text, at + middle, mark) || starts(text, at + middle, "\\dots")) return period;
      period += text.substr(at, middle);
      at += middle;
      const std::string last = read_marked(mark);
      return last.empty() ? "" : period + last;
    }
    const std::string bracketed = read_bracketed_period();
    return bracketed.empty() ? read_dots() : bracketed;
  }

  // The digits under the mark that stands here; without braces it is one digit.
  std::string read_marked(std::string_view mark) {
    size_t i = at + mark.size();
    const bool brace = i < text.size() && text[i] == '{';
    i += brace ? 1 : 0;
    const size_t count = brace ? digits_at(text, i) : std::min<size_t>(1, digits_at(text, i));
    if (count == 0 || (brace && (i + count >= text.size() || text[i + count] != '}'))) return "";
    std::string period(text.substr(i, count));
    at = i + count + (brace ? 1 : 0);
    return period;
  }

  // 0.1(6): digits alone in round brackets, with nothing behind them that would make it a product.
  std::string read_bracketed_period() {
    if (!starts(text, at, "(")) return "";
    const size_t count = digits_at(text, at + 1);
    const size_t close = at + 1 + count;
    if (count == 0 || !starts(text, close, ")")) return "";
    const char next = close + 1 < text.size() ? text[close + 1] : ' ';
    if (is_digit(next) || is_letter(next) || next == '^' || next == '(' || next == '!' || next == '_' || next == '.')
      return "";
    std::string period(text.substr(at + 1, count));
    at = close + 1;
    return period;
  }

  // 0.333... or 0.121212...: dots behind digits that repeat at least three times.
  std::string read_dots() {
    size_t length = 0;
    for (const std::string_view dots : {"\\ldots", "\\dots", "\\cdots", "..."}) {
      if (starts(text, at, dots)) length = dots.size();
    }
    if (length == 0 || fraction.size() < 3) return "";
    for (size_t period = 1; period * 3 <= fraction.size() && period <= 12; ++period) {
      const std::string last = fraction.substr(fraction.size() - period);
      if (fraction.substr(fraction.size() - 2 * period, period) == last &&
          fraction.substr(fraction.size() - 3 * period, period) == last) {
        at += length;
        return last;
      }
    }
    return "";
  }

  int64_t read_exponent() {
    if (at >= text.size() || (text[at] != 'e' && text[at] != 'E')) return 0;
    const bool sign = at + 1 < text.size() && (text[at + 1] == '-' || text[at + 1] == '+');
    const size_t begin = at + 1 + (sign ? 1 : 0);
    const size_t count = digits_at(text, begin);
    if (count == 0 || count > 5) return 0;
    if (begin + count < text.size() && (is_letter(text[begin + count]) || text[begin + count] == '^')) return 0;
    const int64_t value = std::atoll(std::string(text.substr(begin, count)).c_str());
    if (value > kMaxExponent) throw OverBudget("an exponent is too large");
    const bool negative = sign && text[at + 1] == '-';
    at = begin + count;
    return negative ? -value : value;
  }
};

int count_significant(const std::string& digits) {
  const size_t first = digits.find_first_not_of('0');
  return first == std::string::npos ? 1 : static_cast<int>(digits.size() - first);
}

Rational with_period(const std::string& whole, const std::string& fraction, const std::string& period) {
  const Rational base = Rational::from_decimal(whole + "." + fraction);
  const Rational nines = Rational::from_decimal(std::string(period.size(), '9'));
  return base + Rational::from_decimal(period, -static_cast<int64_t>(fraction.size())) / nines;
}

}  // namespace

NumberText lex_number_text(std::string_view text, size_t at, bool commas_group) {
  Scanner scan{.text = text, .at = at, .whole = "", .fraction = ""};
  scan.read_whole(commas_group);
  const bool european = !scan.fraction.empty();
  const bool point = european || scan.read_fraction();
  if (scan.whole.size() + scan.fraction.size() > kMaxDigits) throw OverBudget("a number has too many digits");
  NumberText out;
  out.spelling = scan.whole + (point ? "." + scan.fraction : "");
  const std::string period = point ? scan.read_period() : "";
  if (!period.empty()) {
    out.value = with_period(scan.whole, scan.fraction, period);
    out.spelling += "(" + period + ")";
  } else {
    const int64_t exponent = scan.read_exponent();
    out.value = Rational::from_decimal(scan.whole + "." + scan.fraction, exponent);
    if (point || exponent != 0) {
      out.significant_digits = count_significant(scan.whole + scan.fraction);
      out.fraction_digits = static_cast<int>(scan.fraction.size()) - static_cast<int>(exponent);
    }
  }
  out.end = scan.at;
  return out;
}

}  // namespace grpo::verifier
