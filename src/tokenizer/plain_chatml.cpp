#include "tokenizer/plain_chatml.h"

#include <algorithm>
#include <string>

namespace grpo::tokenizer {
namespace {

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// The part of the white space between two tags that Jinja keeps.
std::string_view kept_space(std::string_view before, std::string_view space, std::string_view after) {
  const bool dropped =
      before.ends_with("-%}") || before.ends_with("-}}") || after.starts_with("{%-") || after.starts_with("{{-");
  if (dropped) return {};
  if (before.ends_with("%}") && space.starts_with("\n")) space.remove_prefix(1);  // trim_blocks
  while (after.starts_with("{%") && (space.ends_with(' ') || space.ends_with('\t')))
    space.remove_suffix(1);  // lstrip_blocks
  return space;
}

// One tag in a fixed spelling: without white space outside of literals and without the dashes, with single quotes.
std::string normal_tag(std::string_view tag) {
  std::string out;
  char quote = '\0';
  for (const char c : tag) {
    if (quote == '\0' && is_space(c)) continue;
    if (quote == '\0' && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    } else {
      out += c;
      continue;
    }
    out += '\'';
  }
  const size_t close = out.size() - 2;
  if (close > 2 && out[close - 1] == '-') out.erase(close - 1, 1);
  if (out.size() > 2 && out[2] == '-') out.erase(2, 1);
  return out;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string normal_form(std::string_view jinja) {
  std::string out;
  for (size_t at = 0; at < jinja.size();) {
    const size_t open = std::min(jinja.find_first_not_of(" \n\t\r", at), jinja.size());
    out += kept_space(jinja.substr(0, at), jinja.substr(at, open - at), jinja.substr(open));
    const bool block = jinja.substr(open).starts_with("{%");
    const size_t close = jinja.find(block ? "%}" : "}}", open);
    if (close == std::string_view::npos) return out + std::string(jinja.substr(open));
    out += normal_tag(jinja.substr(open, close + 2 - open));
    at = close + 2;
  }
  for (const std::string name : {"role", "content"}) out = replaced(out, "['" + name + "']", "." + name);
  out = replaced(out, "'+'", "");     // makes one literal of two that are added
  return replaced(out, "\n", "\\n");  // escapes a line break inside a literal
}

constexpr std::string_view kDefault =
    "{%ifnotadd_generation_promptisdefined%}{%setadd_generation_prompt=false%}{%endif%}";
constexpr std::string_view kTurn =
    "{%formessageinmessages%}{{'<|im_start|>'+message.role+'\\n'+message.content+'<|im_end|>\\n'}}";
constexpr std::string_view kOpening = "{{'<|im_start|>assistant\\n'}}{%endif%}";

}  // namespace

bool is_plain_chatml(std::string_view jinja) {
  std::string text = normal_form(jinja);
  if (text.starts_with(kDefault)) text.erase(0, kDefault.size());
  if (!text.starts_with(kTurn)) return false;
  text.erase(0, kTurn.size());
  return text == "{%endfor%}{%ifadd_generation_prompt%}" + std::string(kOpening) ||
         text == "{%ifloop.lastandadd_generation_prompt%}" + std::string(kOpening) + "{%endfor%}";
}

}  // namespace grpo::tokenizer
