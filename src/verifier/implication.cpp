#include "verifier/implication.h"

#include <algorithm>

#include "verifier/char_class.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

constexpr std::string_view kArrows[] = {"\\implies", "\\Rightarrow",     "\\Longrightarrow",
                                        "\\iff",     "\\Leftrightarrow", "\\Longleftrightarrow"};

struct Place {
  size_t begin = std::string_view::npos;
  size_t end = std::string_view::npos;
};

Place last_arrow(std::string_view text) {
  Place last;
  for (const std::string_view arrow : kArrows) {
    const size_t at = text.rfind(arrow);
    const size_t end = at + arrow.size();
    const bool whole = at != std::string_view::npos && (end >= text.size() || !is_letter(text[end]));
    if (whole && (last.end == std::string_view::npos || end > last.end)) last = {at, end};
  }
  return last;
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789.-/") == std::string_view::npos;
}

bool has_command(std::string_view text, std::string_view name) {
  for (size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    if (at + name.size() >= text.size() || !is_letter(text[at + name.size()])) return true;
  }
  return false;
}

// Whether a text is an equation or inequality of some name.
bool states(std::string_view text) {
  bool relation = text.find_first_of("=<>") != std::string_view::npos;
  for (const std::string_view name : {"\\le", "\\leq", "\\ge", "\\geq", "\\ne", "\\neq"})
    relation = relation || has_command(text, name);
  return relation && std::any_of(text.begin(), text.end(), is_letter);
}

// Whether "x = 4" stands in front of "x = 3" or of a bare 3.
bool gives_another_value(std::string_view premise, std::string_view conclusion) {
  if (!begins_equation(premise)) return false;
  const auto value = trimmed(premise.substr(premise.find('=') + 1));
  if (!is_number(value)) return false;
  if (is_number(conclusion)) return value != conclusion;
  return begins_equation(conclusion) && conclusion[0] == premise[0] &&
         value != trimmed(conclusion.substr(conclusion.find('=') + 1));
}

}  // namespace

std::string_view conclusion_of(std::string_view text) {
  while (text.starts_with('$')) text.remove_prefix(1);
  while (text.ends_with('$')) text.remove_suffix(1);
  const Place arrow = last_arrow(text);
  if (arrow.end == std::string_view::npos) return {};
  auto premise = trimmed(text.substr(0, arrow.begin));
  const auto conclusion = trimmed(text.substr(arrow.end));
  if (!states(premise) || premise.ends_with("\\not")) return {};
  if (const Place before = last_arrow(premise); before.end != std::string_view::npos)
    premise = trimmed(premise.substr(before.end));
  if (const size_t comma = premise.rfind(','); comma != std::string_view::npos)
    premise = trimmed(premise.substr(comma + 1));
  return gives_another_value(premise, conclusion) ? std::string_view{} : conclusion;
}

}  // namespace grpo::verifier
