#include "tokenizer/chat_recognition.h"

#include <algorithm>

#include "grpo/io/hash.h"
#include "tokenizer/plain_chatml.h"
#include "tokenizer/unicode.h"

namespace grpo::tokenizer {
namespace {

struct KnownText {
  const char* hash;  // XXH3-128 of the text without its default system message
  const char* family;
};

constexpr KnownText kKnownTexts[] = {
    {"4da748170a815478eabb709d63012ada", "qwen2.5-instruct"},
    {"0fab82ce8f4d5175c9e0155c80737cf2", "qwen3"},
    {"cc9ddd5a40bc1c0c8fb5d937b1e8f5d0", "qwen3-instruct-2507"},
    {"09facc0e4aa943189799ad6e2dea0594", "llama3"},
    {"9ddcd6cd71f96dd76ca7779b7730196a", "llama3.1"},
    {"573e1bcc8c56f178c3d57e38f5ff0756", "llama3.2"},
    {"b59c4fde1d06da0055b25ceb4910aa64", "deepseek-r1-distill"},
    {"ba826724af56e537759e4eeeb1ec9b77", "deepseek-r1-distill-first-revision"},
    {"214702a813e0fbed0d6850922b3e41b2", "smollm2"},
};

struct Telltale {
  std::string_view phrase;
  std::string_view families;  // substrings of the names of the families that have it
};

constexpr Telltale kTelltales[] = {
    {"<|im_start|>", "qwen smollm2 chatml"},
    {"tool_call", "qwen llama3.1 llama3.2 deepseek"},
    {"You are Qwen", "qwen2.5-instruct"},
    {"\\boxed{}", "qwen2.5-math"},
    {"enable_thinking", "qwen3$"},
    {"reasoning_content", "qwen3$ qwen3-thinking"},
    {"assistant\\n<think>\\n", "qwen3-thinking"},
    {"SmolLM", "smollm2"},
    {"<|start_header_id|>", "llama3"},
    {"Today Date", "llama3.1 llama3.2"},
    {"builtin_tools", "llama3.1"},
    {"strftime_now", "llama3.2"},
    {"<\uff5cUser\uff5c>", "deepseek"},
    {"<think>\\n'}}", "deepseek-r1-distill$"},
};

/// Whether one of the words of `families` is a part of the name. A $ in a word stands for the end of the name.
bool names_family(std::string_view families, const char* name) {
  const std::string marked = std::string(name) + "$";
  while (!families.empty()) {
    const size_t space = std::min(families.find(' '), families.size());
    if (marked.find(families.substr(0, space)) != std::string::npos) return true;
    families.remove_prefix(std::min(space + 1, families.size()));
  }
  return false;
}

/// The default system message of a ChatML template: what its literal says between the opening of the system turn and
/// the end of the turn. Empty if there is none.
std::string_view literal_system(std::string_view jinja) {
  for (const std::string_view opening : {"<|im_start|>system\\n", "<|im_start|>system\n"}) {
    for (size_t at = jinja.find(opening); at != std::string_view::npos; at = jinja.find(opening, at + 1)) {
      const std::string_view rest = jinja.substr(at + opening.size());
      const size_t end = rest.find("<|im_end|>");
      if (end == std::string_view::npos || rest.substr(0, end).find('\'') != std::string_view::npos) continue;
      return rest.substr(0, end);
    }
  }
  return {};
}

std::string without(std::string text, const std::string& part) {
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) text.erase(at, part.size());
  return text;
}

/// The value of a Jinja string literal.
std::string unescaped(std::string_view literal) {
  std::string value;
  for (size_t i = 0; i < literal.size(); ++i) {
    if (literal[i] == '\\' && i + 1 < literal.size()) {
      ++i;
      value += literal[i] == 'n' ? '\n' : literal[i] == 't' ? '\t' : literal[i];
    } else {
      value += literal[i];
    }
  }
  return value;
}

const ChatFamily* family_with_system(const ChatFamily* family, const std::string& system) {
  for (const ChatFamily& other : chat_families()) {
    if (other.render == family->render && system == other.default_system) return &other;
  }
  return nullptr;
}

}  // namespace

std::optional<RecognisedTemplate> recognise_chat_template(std::string_view jinja) {
  const std::string text(strip_white_space_right(jinja));
  if (is_plain_chatml(text)) return RecognisedTemplate{find_chat_family("plain-chatml"), std::nullopt};
  const std::string literal(literal_system(text));
  const std::string hash = io::hash_bytes(literal.empty() ? text : without(text, literal));
  const auto known = std::find_if(std::begin(kKnownTexts), std::end(kKnownTexts),
                                  [&](const KnownText& candidate) { return hash == candidate.hash; });
  if (known == std::end(kKnownTexts)) return std::nullopt;
  const ChatFamily* family = find_chat_family(known->family);
  if (literal.empty()) return RecognisedTemplate{family, std::nullopt};
  const std::string system = unescaped(literal);
  if (const ChatFamily* same = family_with_system(family, system)) return RecognisedTemplate{same, std::nullopt};
  return RecognisedTemplate{family, system};
}

const ChatFamily& closest_chat_family(std::string_view jinja) {
  const auto agreement = [&](const ChatFamily& family) {
    return std::count_if(std::begin(kTelltales), std::end(kTelltales), [&](const Telltale& telltale) {
      return (jinja.find(telltale.phrase) != std::string_view::npos) == names_family(telltale.families, family.name);
    });
  };
  const auto families = chat_families();
  return *std::max_element(families.begin(), families.end(),
                           [&](const ChatFamily& a, const ChatFamily& b) { return agreement(a) < agreement(b); });
}

}  // namespace grpo::tokenizer
