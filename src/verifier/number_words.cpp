#include "verifier/number_words.h"

#include <algorithm>
#include <string>
#include <utility>

#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

constexpr std::string_view kSmall[] = {"zero",     "one",     "two",     "three",     "four",     "five",    "six",
                                       "seven",    "eight",   "nine",    "ten",       "eleven",   "twelve",  "thirteen",
                                       "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
constexpr std::string_view kTens[] = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};

constexpr std::pair<std::string_view, int64_t> kScales[] = {{"hundred", 100},
                                                            {"thousand", 1000},
                                                            {"lakh", 100'000},
                                                            {"million", 1'000'000},
                                                            {"crore", 10'000'000},
                                                            {"billion", 1'000'000'000},
                                                            {"trillion", 1'000'000'000'000},
                                                            {"dozen", 12},
                                                            {"score", 20},
                                                            {"gross", 144},
                                                            {"百", 100},
                                                            {"千", 1000},
                                                            {"万", 10'000},
                                                            {"萬", 10'000},
                                                            {"亿", 100'000'000},
                                                            {"億", 100'000'000}};

constexpr std::pair<std::string_view, int64_t> kParts[] = {{"half", 2},
                                                           {"third", 3},
                                                           {"quarter", 4},
                                                           {"fourth", 4},
                                                           {"fifth", 5},
                                                           {"sixth", 6},
                                                           {"seventh", 7},
                                                           {"eighth", 8},
                                                           {"ninth", 9},
                                                           {"tenth", 10},
                                                           {"eleventh", 11},
                                                           {"twelfth", 12},
                                                           {"thirteenth", 13},
                                                           {"fourteenth", 14},
                                                           {"fifteenth", 15},
                                                           {"sixteenth", 16},
                                                           {"seventeenth", 17},
                                                           {"eighteenth", 18},
                                                           {"nineteenth", 19},
                                                           {"twentieth", 20},
                                                           {"thirtieth", 30},
                                                           {"fortieth", 40},
                                                           {"fiftieth", 50},
                                                           {"sixtieth", 60},
                                                           {"seventieth", 70},
                                                           {"eightieth", 80},
                                                           {"ninetieth", 90},
                                                           {"hundredth", 100},
                                                           {"thousandth", 1000},
                                                           {"millionth", 1'000'000},
                                                           {"billionth", 1'000'000'000},
                                                           {"trillionth", 1'000'000'000'000}};

// The word in lower case and without the s of the plural: halves -> half.
std::string singular_number(std::string_view word) {
  std::string out = lower(word);
  if (out == "halves") return "half";
  if (out.size() > 3 && out.ends_with('s') && !out.ends_with("ss")) out.pop_back();
  return out;
}

template <size_t N>
std::optional<int64_t> find(const std::pair<std::string_view, int64_t> (&table)[N], std::string_view name) {
  for (const auto& [word, value] : table) {
    if (word == name) return value;
  }
  return std::nullopt;
}

bool is_plural(std::string_view word) { return word.ends_with('s'); }

std::optional<int64_t> below_hundred(std::string_view word) {
  for (size_t i = 0; i < std::size(kSmall); ++i) {
    if (kSmall[i] == word) return static_cast<int64_t>(i);
  }
  for (size_t i = 0; i < std::size(kTens); ++i) {
    if (kTens[i] == word) return static_cast<int64_t>(10 * i + 20);
  }
  return std::nullopt;
}

// The two words of "twenty-five"; the second is empty where there is no hyphen.
std::pair<std::string_view, std::string_view> at_hyphen(std::string_view word) {
  const size_t hyphen = std::min(word.find('-'), word.size());
  return {word.substr(0, hyphen), word.substr(std::min(hyphen + 1, word.size()))};
}

// The fraction that "two-thirds" spells. Behind tens the part is an ordinal, twenty-third; so is a large one in the
// singular, three-hundredth; ten-thousandths are 1/10000 each.
std::optional<Rational> hyphenated_fraction(int64_t count, std::string_view part_word) {
  const auto part = find(kParts, singular_number(part_word));
  if (!part || count >= 20) return std::nullopt;
  if (*part >= 100 && count != 1 && !is_plural(part_word)) return std::nullopt;
  if (*part >= 1000 && count == 10) return std::nullopt;
  return Rational(count) / Rational(*part);
}

// What "twenty-fifth" and "ten-thousandth" divide one by.
std::optional<int64_t> hyphenated_part(std::string_view word) {
  const auto [first, second] = at_hyphen(word);
  const std::string last = singular_number(second);
  const auto part = find(kParts, last);
  if ((first == "ten" || first == "hundred") && part && *part >= 1000) return (first == "ten" ? 10 : 100) * *part;
  const auto tens = below_hundred(first);
  if (!tens || *tens < 20) return std::nullopt;
  if (last == "first" || last == "second") return *tens + (last == "first" ? 1 : 2);
  return part && *part > 2 && *part < 10 && last != "quarter" ? std::optional<int64_t>(*tens + *part) : std::nullopt;
}

}  // namespace

std::optional<Rational> number_word(std::string_view word) {
  const std::string low = lower(word);
  if (const auto value = below_hundred(low)) return Rational(*value);
  const auto [first, second] = at_hyphen(low);
  const auto tens = below_hundred(first);
  if (!tens || second.empty()) return std::nullopt;
  if (const auto fraction = hyphenated_fraction(*tens, second)) return fraction;
  const auto ones = below_hundred(second);
  if (!ones || *tens < 20 || *ones == 0 || *ones > 9) return std::nullopt;
  return Rational(*tens + *ones);
}

std::optional<Rational> scale_word(std::string_view word) {
  const std::string name = singular_number(word);
  if (const auto scale = find(kScales, name)) return Rational(*scale);
  const auto part = find(kParts, name);
  const auto divisor = part ? part : hyphenated_part(lower(word));
  return divisor ? std::optional<Rational>(Rational(1, *divisor)) : std::nullopt;
}

bool may_be_ordinal(const Rational& count, std::string_view word) {
  const auto scale = scale_word(word);
  if (!scale || scale->is_integer() || count == Rational(1)) return false;
  const bool hyphenated = word.find('-') != std::string_view::npos;
  if (is_plural(word)) return hyphenated && !(count < Rational(100));  // "one hundred twenty-fifths"
  return hyphenated || !(count < Rational(20)) || *scale < Rational(1, 99);
}

}  // namespace grpo::verifier
