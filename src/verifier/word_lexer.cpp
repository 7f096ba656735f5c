#include "verifier/word_lexer.h"

#include <algorithm>
#include <array>
#include <functional>

#include "verifier/lexer.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

// Words that mean something to the parser.
constexpr std::array<std::string_view, 14> kMeanings = {"and", "or",      "pi",     "infinity", "infty",
                                                        "inf", "oo",      "union",  "percent",  "percentage",
                                                        "pct", "degrees", "degree", "mod"};
// Short words of sentences, without those that may well be products: "an", "at", "by", "it", "as", "is", "be", "of".
constexpr std::array<std::string_view, 31> kStops = {
    "per", "so",  "we",  "to",  "the", "for", "all", "not", "are", "was", "get", "has", "had", "but",  "let", "yes",
    "you", "now", "how", "see", "its", "our", "can", "way", "one", "two", "six", "ten", "in",  "thus", "old"};
// Words that begin like the name of a function but are no product with it.
constexpr std::array<std::string_view, 22> kNoFunctions = {
    "sing", "sins", "sink", "sine", "since", "cost", "cosy", "tang", "tank", "tans", "tan",
    "logs", "logo", "pie",  "pin",  "pit",   "pig",  "pick", "pile", "pint", "pies", "pins"};
constexpr std::array<std::string_view, 6> kHeads = {"sin", "cos", "tan", "ln", "log", "pi"};

bool ascending(std::string_view word) {
  return std::adjacent_find(word.begin(), word.end(), std::greater_equal<char>()) == word.end();
}

// Whether one or two letters behind a known beginning are factors: the nx of sinnx, the rh of pirh.
bool are_factors(std::string_view tail) {
  if (tail.size() == 1) return true;
  return tail.size() == 2 && std::string_view("abkmnrtwx").find(tail[0]) != std::string_view::npos &&
         std::string_view("xytnhzlRw").find(tail[1]) != std::string_view::npos;
}

// The function or pi that a word such as sinx or pirh begins with, or "" when the word is no such product.
std::string_view known_head(std::string_view word) {
  if (is_one_of(word, kNoFunctions)) return "";
  for (const auto head : kHeads) {
    if (word.size() > head.size() && word.starts_with(head) && are_factors(word.substr(head.size()))) return head;
  }
  return "";
}

bool is_meaningful(std::string_view word) {
  const std::string low = lower(word);
  return is_function_name(word) || is_one_of(std::string_view(low), kMeanings) ||
         is_one_of(std::string_view(low), kStops);
}

}  // namespace

std::vector<LetterRun> split_letters(std::string_view run, bool after_value) {
  if (run.size() == 1) return {{std::string(run), false}};
  const bool unit =
      after_value && (find_unit(run).has_value() || is_one_of(run, kNoFunctions) || run == "sq" || run == "cu");
  if (is_meaningful(run) || unit) return {{std::string(run), true}};
  if (const auto head = known_head(run); !head.empty()) {
    std::vector<LetterRun> out{{std::string(head), true}};
    for (const char c : run.substr(head.size())) out.push_back({std::string(1, c), false});
    return out;
  }
  if (run.size() > 3 && !ascending(run)) return {{std::string(run), true}};
  std::vector<LetterRun> out;
  for (const char c : run) out.push_back({std::string(1, c), false});
  return out;
}

}  // namespace grpo::verifier
