#include "verifier/nearby_words.h"

#include "verifier/char_class.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

constexpr size_t kReach = 48;  // bytes before or behind a value in which words may change it

constexpr std::string_view kTextCommands[] = {"\\text", "\\textbf", "\\textit", "\\textrm", "\\mbox", "\\mathrm"};

// The text with what \text{...} at its front says in place of the command.
std::string spoken(std::string_view behind) {
  const size_t at = std::min(behind.find_first_not_of(" "), behind.size());
  const size_t skip = behind.substr(at).starts_with("\\ ") || behind.substr(at).starts_with("\\,") ? at + 2 : at;
  const auto rest = behind.substr(std::min(skip, behind.size()));
  for (const auto command : kTextCommands) {
    if (!rest.starts_with(command) || rest.substr(command.size(), 1) != "{") continue;
    const size_t close = rest.find('}');
    if (close == std::string_view::npos || close > kReach) break;
    return std::string(rest.substr(command.size() + 1, close - command.size() - 1)) +
           std::string(rest.substr(close + 1, 2 * kReach));
  }
  return std::string(behind.substr(0, 4 * kReach));
}

}  // namespace

std::string_view text_at_end(std::string_view before) {
  while (before.ends_with(' ') || before.ends_with("\\,") || before.ends_with("\\;"))
    before.remove_suffix(before.ends_with(' ') && !before.ends_with("\\ ") ? 1 : 2);
  if (!before.ends_with('}')) return {};
  const size_t open = before.rfind('{');
  if (open == std::string_view::npos) return {};
  const auto lead = before.substr(0, open);
  const bool text = std::any_of(std::begin(kTextCommands), std::end(kTextCommands),
                                [&](std::string_view command) { return lead.ends_with(command); });
  return text ? before.substr(open + 1, before.size() - open - 2) : std::string_view{};
}

std::string tail_of(std::string_view before) {
  if (const auto text = text_at_end(before); !text.empty()) before = text;
  std::string out;
  for (const char c : before.substr(before.size() > kReach ? before.size() - kReach : 0)) {
    if (c != '$' && c != '(' && c != '[' && c != '\\' && c != '*' && c != '{') out += c == '\n' ? ' ' : c;
  }
  return " " + lower(trim(out));
}

std::string head_of(std::string_view all_behind) {
  const std::string said = spoken(all_behind);
  std::string_view behind = said;
  size_t at = 0;
  const size_t stop = behind.find("。");  // "$\\boxed{5}$。不对": the sentence behind is read
  const bool blank = stop != std::string_view::npos &&
                     behind.substr(0, stop).find_first_not_of(" \n$)*]\\}") == std::string_view::npos;
  if (blank) behind.remove_prefix(stop + std::string_view("。").size());
  while (at < behind.size() &&
         (is_space(behind[at]) || std::string_view("$)*]\\}.").find(behind[at]) != std::string_view::npos)) {
    if (behind[at] == '.' || (behind[at] == '\n' && at + 1 < behind.size() && behind[at + 1] == '\n')) return "";
    ++at;
  }
  std::string head;
  for (const char c : lower(behind.substr(at, kReach))) {
    if (c != '$' && !(c == ' ' && head.ends_with(' '))) head += c;
  }
  return head + " ";
}

bool ends_with_word(std::string_view text, std::string_view word) {
  if (!text.ends_with(word)) return false;
  const size_t at = text.size() - word.size();
  return word == "n't" || !is_letter(word[0]) || at == 0 ||
         !(is_letter(text[at - 1]) || is_digit(text[at - 1]) || (text[at - 1] & 0x80) != 0);
}

bool starts_with_word(std::string_view text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  const char next = word.size() < text.size() ? text[word.size()] : ' ';
  return !is_letter(word.back()) || !is_letter(next) || static_cast<unsigned char>(word[0]) >= 0x80;
}

}  // namespace grpo::verifier
