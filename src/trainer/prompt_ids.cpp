#include "trainer/prompt_ids.h"

#include <algorithm>
#include <string_view>

#include "grpo/base/error.h"
#include "grpo/base/text.h"

namespace grpo::trainer {
namespace {

bool has_special_text(const tokenizer::Tokenizer& tokenizer, std::string_view text) {
  const auto ids = tokenizer.encode(text, true);
  return std::any_of(ids.begin(), ids.end(), [&](int64_t id) { return tokenizer.is_special(id); });
}

bool starts_with(const std::vector<int64_t>& ids, const std::vector<int64_t>& prefix) {
  return ids.size() >= prefix.size() && std::equal(prefix.begin(), prefix.end(), ids.begin());
}

}  // namespace

bool has_special_text(const tokenizer::Tokenizer& tokenizer, const std::vector<tokenizer::Message>& messages) {
  return std::any_of(messages.begin(), messages.end(),
                     [&](const tokenizer::Message& message) { return has_special_text(tokenizer, message.content); });
}

std::vector<int64_t> encode_as_text(const tokenizer::Tokenizer& tokenizer, const tokenizer::ChatTemplate& chat,
                                    const std::vector<tokenizer::Message>& messages, const std::string& place) {
  const std::string rendered = chat.prompt(messages);
  std::vector<int64_t> ids;
  const auto add = [&](std::string_view part, bool parse_specials) {
    const auto more = tokenizer.encode(part, parse_specials);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  std::string_view rest = rendered;
  for (const auto& message : messages) {  // templates keep the order of messages and strip the ends of each
    const std::string_view text = base::trimmed(message.content);
    if (!has_special_text(tokenizer, text)) continue;
    const size_t at = rest.find(text);
    if (at == std::string_view::npos) {
      if (message.role == "system" && rest.size() == rendered.size()) continue;  // data.system has taken its place
      throw base::ConfigError(
          base::concat(place, ": the ", message.role,
                       " message holds the text of a special token, and the template changes the message; "
                       "take the text out, or set data.allow_special_tokens: true"));
    }
    add(rest.substr(0, at), true);
    add(text, false);
    rest.remove_prefix(at + text.size());
  }
  add(rest, true);
  const auto& bos = tokenizer.bos_prefix();
  if (starts_with(chat.encode_rendered(tokenizer, rendered), bos) && !starts_with(ids, bos))
    ids.insert(ids.begin(), bos.begin(), bos.end());
  return ids;
}

}  // namespace grpo::trainer
