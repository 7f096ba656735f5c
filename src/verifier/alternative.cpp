#include "verifier/alternative.h"

#include <algorithm>

#include "verifier/char_class.h"
#include "verifier/lexer.h"
#include "verifier/stated_choice.h"

namespace grpo::verifier {
namespace {

// The number that a text begins with, in LaTeX. With `whole`, only if the clause ends behind it: "3 apples and 2 pears"
// and "5!" begin with no other value.
std::string number_at(std::string_view text, bool whole) {
  const size_t first = text.starts_with('-') ? 1 : 0;
  if (first >= text.size() || !is_digit(text[first])) return "";
  auto value = text.substr(0, text.find_first_not_of("-0123456789.,/"));
  while (!is_digit(value.back())) value.remove_suffix(1);
  auto rest = text.substr(value.size());
  const bool percent = take_word(rest, {"%", "\\%"});
  const size_t next = rest.find_first_not_of(' ');
  const bool ends = next == std::string_view::npos || rest.substr(next).starts_with("**") ||
                    std::string_view(".,;:)$\n").find(rest[next]) != std::string_view::npos;
  return ends || !whole ? std::string(value) + (percent ? "\\%" : "") : "";
}

// Takes "(for even n)" off the beginning, a remark without numbers.
void skip_remark(std::string_view& behind) {
  const size_t open = behind.find_first_not_of(" $*");
  if (open == std::string_view::npos || behind[open] != '(') return;
  const size_t close = std::min(behind.find(')', open), behind.size() - 1);
  const auto remark = behind.substr(open, close - open);
  if (std::none_of(remark.begin(), remark.end(), is_digit)) behind.remove_prefix(close + 1);
}

// The value of a formula "$x = 5$" at the beginning of a text, "" where it never closes. With `whole`, only a number:
// "i.e. $n$ is even" offers no value.
std::string formula_at(std::string_view text, bool whole) {
  const size_t close = text.find('$', 1);
  if (close == std::string_view::npos) return "";
  const auto formula = text.substr(1, close - 1);
  const auto value = trimmed(formula.substr(formula.rfind('=') + 1));
  const bool number = value.find_first_not_of("-0123456789.,/%\\{}fracdt") == std::string_view::npos;
  if (whole && !(number && value.size() == trimmed(formula).size() && ends_clause(text.substr(close + 1)))) return "";
  return std::string(value);
}

}  // namespace

std::string alternative_behind(std::string_view behind, bool letter) {
  skip_remark(behind);
  const bool comma = behind.substr(std::min(behind.find_first_not_of(" $*"), behind.size())).starts_with(", ");
  behind.remove_prefix(std::min(behind.find_first_not_of(letter ? " \n$,.*;" : " \n$,.(*;"), behind.size()));
  const bool either = take_word(behind, {"or ", "ou ", "oder ", "o ", "или ", "或者", "或", "か"});
  const bool also = take_word(
      behind, {"and also ", "also ", "i.e. ", "i.e., ", "that is ", "that is, ", "otherwise ", "in other words ",
               "in other words, ", "alternatively ", "as well as ", "along with ", "together with ", "namely "});
  if (letter) return either || also || comma || take_word(behind, {"and ", "/"}) ? take_letter(behind) : "";
  if (!either && !also) return comma ? number_at(behind, true) : "";
  take_word(behind, {"equivalently ", "equivalently, ", "possibly ", "perhaps ", "maybe ", "even ", "it might be ",
                     "it could be ", "it may be "});
  behind.remove_prefix(std::min(behind.find_first_not_of('*'), behind.size()));
  if (begins_equation(behind)) behind = trimmed(behind.substr(behind.find('=') + 1));
  return behind.starts_with('$') ? formula_at(behind, !either) : number_at(behind, !either);
}

}  // namespace grpo::verifier
