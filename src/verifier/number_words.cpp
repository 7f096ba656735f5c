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
                                                           {"twentieth", 20},
                                                           {"thirtieth", 30},
                                                           {"hundredth", 100},
                                                           {"thousandth", 1000},
                                                           {"millionth", 1'000'000},
                                                           {"billionth", 1'000'000'000}};

// The word in lower case and without the s of the plural: halves -> half.
std::string singular(std::string_view word) {
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

std::optional<int64_t> below_hundred(std::string_view word) {
  for (size_t i = 0; i < std::size(kSmall); ++i) {
    if (kSmall[i] == word) return static_cast<int64_t>(i);
  }
  for (size_t i = 0; i < std::size(kTens); ++i) {
    if (kTens[i] == word) return static_cast<int64_t>(10 * i + 20);
  }
  return std::nullopt;
}

}  // namespace

std::optional<Rational> number_word(std::string_view word) {
  const std::string low = lower(word);
  if (const auto value = below_hundred(low)) return Rational(*value);
  const size_t hyphen = low.find('-');
  if (hyphen == std::string::npos) return std::nullopt;
  const auto tens = below_hundred(std::string_view(low).substr(0, hyphen));
  const auto ones = below_hundred(std::string_view(low).substr(hyphen + 1));
  const auto part = find(kParts, singular(low.substr(hyphen + 1)));
  if (tens && part) return Rational(*tens) / Rational(*part);  // two-thirds
  if (!tens || !ones || *tens < 20 || *ones == 0 || *ones > 9) return std::nullopt;
  return Rational(*tens + *ones);
}

std::optional<Rational> scale_word(std::string_view word) {
  const std::string name = singular(word);
  const auto scale = find(kScales, name == "gros" ? "gross" : std::string_view(name));
  if (scale) return Rational(*scale);
  const auto part = find(kParts, name);
  return part ? std::optional<Rational>(Rational(1, *part)) : std::nullopt;
}

}  // namespace grpo::verifier
