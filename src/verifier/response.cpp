#include "verifier/response.h"

#include <algorithm>
#include <array>

#include "verifier/char_class.h"
#include "verifier/find_last.h"
#include "verifier/lexer.h"

namespace grpo::verifier {
namespace {

// Tokens that end a turn.
constexpr std::array<std::string_view, 9> kEnds = {
    "<|im_end|>", "<|endoftext|>",         "<|eot_id|>",   "<|end_of_text|>", "</s>", "<|end|>",
    "<|eom_id|>", "<｜end▁of▁sentence｜>", "<end_of_turn>"};
// Tokens that begin a turn of the assistant (kAssistants), and those that begin a turn of any role (kTurns).
constexpr std::array<std::string_view, 7> kAssistants = {"<|im_start|>assistant",
                                                         "<|start_header_id|>assistant<|end_header_id|>",
                                                         "<｜Assistant｜>",
                                                         "<|assistant|>",
                                                         "[/INST]",
                                                         "<start_of_turn>model",
                                                         "<|im_start|> assistant"};
constexpr std::array<std::string_view, 5> kTurns = {"<|im_start|>", "<|start_header_id|>", "<｜User｜>",
                                                    "<start_of_turn>", "<|user|>"};
constexpr std::array<std::string_view, 4> kThoughts = {"think", "thinking", "thought", "reasoning"};

// Whether a mark of the lists above can begin at `at`. This cheap test spares a text full of '<' the comparisons.
bool may_be_mark(std::string_view text, size_t at) {
  const char next = at + 1 < text.size() ? text[at + 1] : ' ';
  return text[at] == '[' ? next == '/' : next == '|' || next == '/' || next == 's' || next == 'e' || next == '\xEF';
}

template <size_t N>
const std::string_view* starts_with_any(std::string_view text, size_t at,
                                        const std::array<std::string_view, N>& names) {
  for (const auto& name : names) {
    if (text.substr(at, name.size()) == name) return &name;
  }
  return nullptr;
}

bool is_blank(std::string_view text) { return std::all_of(text.begin(), text.end(), is_space); }

// The first assistant turn that is not blank, found in one pass over the marks that begin with '<' or '['. A text
// without marks is one such turn.
std::string_view first_assistant_turn(std::string_view text) {
  size_t begin = 0;
  bool assistant = true;
  for (size_t at = text.find_first_of("<["); at != std::string_view::npos; at = text.find_first_of("<[", at)) {
    if (!may_be_mark(text, at)) {
      ++at;
    } else if (const auto* mark = starts_with_any(text, at, kAssistants)) {
      if (assistant && begin > 0 && !is_blank(text.substr(begin, at - begin))) return text.substr(begin, at - begin);
      begin = at + mark->size();
      assistant = true;
      at = begin;
    } else if (const auto* end = starts_with_any(text, at, kEnds)) {
      if (assistant && !is_blank(text.substr(begin, at - begin))) return text.substr(begin, at - begin);
      begin = at + end->size();
      at = begin;
    } else if (const auto* turn = starts_with_any(text, at, kTurns)) {
      if (assistant && !is_blank(text.substr(begin, at - begin))) return text.substr(begin, at - begin);
      assistant = false;
      at += turn->size();
    } else {
      ++at;
    }
  }
  return assistant ? text.substr(begin) : std::string_view{};
}

std::string_view behind_thought(std::string_view text, bool& unfinished) {
  size_t open = std::string_view::npos;
  size_t close = std::string_view::npos;
  size_t behind = 0;
  for (const auto name : kThoughts) {
    const std::string end = "</" + std::string(name) + ">";
    const std::string start = "<" + std::string(name) + ">";
    const size_t c = find_last(text, end);
    if (c != std::string_view::npos && (close == std::string_view::npos || c > close)) {
      close = c;
      behind = c + end.size();
    }
    const size_t o = find_last(text, start);
    if (o != std::string_view::npos && (open == std::string_view::npos || o > open)) open = o;
  }
  unfinished = open != std::string_view::npos && (close == std::string_view::npos || open > close);
  return text.substr(behind);
}

// Overwrites the lines of the fences with spaces but not the code between them, for an answer that stands all inside.
void blank_fences(std::string& text) {
  for (size_t line = 0; line < text.size();) {
    const size_t end = std::min(text.find('\n', line), text.size());
    const size_t first = std::min(text.find_first_not_of(" \t", line), end);
    if (text.compare(first, 3, "```") == 0)
      std::fill(text.begin() + static_cast<long>(line), text.begin() + static_cast<long>(end), ' ');
    line = end + 1;
  }
}

// Whether the fence at `first`, whose line ends at `end`, opens a block of one or two lines that is no program and ends
// the text: an answer that is set apart. A box in code alone is none.
bool sets_answer_apart(std::string_view text, size_t first, size_t end) {
  static constexpr std::array<std::string_view, 10> kNames = {"",    "math",     "latex", "tex",    "text",
                                                              "txt", "markdown", "md",    "output", "plaintext"};
  const std::string name = lower(trimmed(text.substr(first + 3, end - first - 3)));
  const size_t close = text.find(text.substr(first, 3), end);
  if (close == std::string_view::npos || !is_blank(text.substr(close + 3))) return false;
  const auto block = trimmed(text.substr(end, close - end));
  const bool named = std::find(kNames.begin(), kNames.end(), name) != kNames.end();
  const size_t call = block.find('(');
  const bool code = (call != std::string_view::npos && call > 0 && is_letter(block[call - 1])) ||
                    (name.empty() && block.find_first_of("=#;") != std::string_view::npos);
  return named && !code && block.size() < 200 && block.find("boxed") == std::string_view::npos &&
         std::count(block.begin(), block.end(), '\n') < 2;
}

// Overwrites code blocks with spaces. ``` or ~~~ at the start of a line opens or closes a block.
void blank_code_blocks(std::string& text) {
  bool inside = false, keeps = false;
  size_t line = 0;
  while (line < text.size()) {
    const size_t end = std::min(text.find('\n', line), text.size());
    size_t first = line;
    while (first < end && is_space(text[first])) ++first;
    const bool may_be_fence = first < end && (text[first] == '`' || text[first] == '~');
    const bool fence = may_be_fence && (text.compare(first, 3, "```") == 0 || text.compare(first, 3, "~~~") == 0);
    // A block on one line, ```x```, closes where it opens.
    const bool one_line = fence && !inside && text.substr(first + 3, end - first - 3).find("```") != std::string::npos;
    if (fence && !inside) keeps = !one_line && sets_answer_apart(text, first, end);
    if ((inside && !keeps) || fence)
      std::fill(text.begin() + static_cast<long>(line), text.begin() + static_cast<long>(end), ' ');
    if (fence && !one_line) inside = !inside;
    line = end + 1;
  }
}

// Overwrites comments, which a reader of the page does not see.
void blank_comments(std::string& text) {
  for (size_t at = text.find("<!--"); at != std::string::npos; at = text.find("<!--", at)) {
    size_t end = text.find('>', at + 4);  // faster than a search for "-->" in a text full of dashes
    while (end != std::string::npos && text.compare(end - 2, 2, "--") != 0) end = text.find('>', end + 1);
    if (end == std::string::npos) return;
    std::fill(text.begin() + static_cast<long>(at), text.begin() + static_cast<long>(end) + 1, ' ');
  }
}

// Overwrites the notes for a calculator in GSM8K's solutions, 1+2=<<1+2=3>>3, which only repeat a sum.
void blank_calculator_notes(std::string& text) {
  for (size_t at = text.find("<<"); at != std::string::npos; at = text.find("<<", at + 2)) {
    const size_t end = std::min(text.find_first_not_of("0123456789.,+-*/()=% ", at + 2), text.size());
    if (text.compare(end, 2, ">>") == 0)
      std::fill(text.begin() + static_cast<long>(at), text.begin() + static_cast<long>(end) + 2, ' ');
  }
}

}  // namespace

Visible visible_part(std::string_view response) {
  Visible out;
  const std::string_view turn = first_assistant_turn(response);
  out.text = std::string(behind_thought(turn, out.unfinished_thought));
  blank_comments(out.text);
  blank_calculator_notes(out.text);
  std::string outside = out.text;
  blank_code_blocks(outside);
  const bool all_inside = is_blank(outside) && (out.text.find("```latex") != std::string::npos ||
                                                out.text.find("```tex") != std::string::npos ||
                                                out.text.find("```markdown") != std::string::npos);
  if (all_inside)
    blank_fences(out.text);
  else
    out.text = std::move(outside);
  return out;
}

}  // namespace grpo::verifier
