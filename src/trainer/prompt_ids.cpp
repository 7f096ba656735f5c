#include "trainer/prompt_ids.h"

#include <algorithm>
#include <string_view>
#include <utility>

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

// Where a template writes a message's text, its ends trimmed: in a rendering with kMarker in its place it stands where
// the marker does. Looking for the text itself would also find what the template writes of its own. Empty if the
// template leaves the message out or changes it.
std::vector<size_t> places_of(std::vector<tokenizer::Message> messages, size_t number,
                              const tokenizer::ChatTemplate& chat, std::string_view rendered) {
  static constexpr std::string_view kMarker = "\ue000 message \ue001";
  const std::string content = std::exchange(messages[number].content, kMarker);
  const std::string_view text = base::trimmed(content);
  const std::string marked = chat.prompt(messages);
  std::vector<size_t> places;
  size_t at = 0, begin = 0;  // of what is compared next, in `rendered` and in `marked`
  for (size_t end = marked.find(kMarker); end != std::string::npos; end = marked.find(kMarker, begin)) {
    if (rendered.substr(at, end - begin) != std::string_view(marked).substr(begin, end - begin)) return {};
    at += end - begin;
    begin = end + kMarker.size();
    const bool whole = rendered.substr(at).starts_with(content);
    if (!whole && !rendered.substr(at).starts_with(text)) return {};
    places.push_back(whole ? at + content.find(text) : at);
    at += whole ? content.size() : text.size();
  }
  return places;
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
  size_t done = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    const tokenizer::Message& message = messages[i];
    if (!has_special_text(tokenizer, message.content)) continue;
    const std::string_view text = base::trimmed(message.content);
    const auto places = places_of(messages, i, chat, rendered);
    if (places.empty() && message.role == "system" && done == 0) continue;  // data.system has taken its place
    if (places.empty() || places.front() < done) {
      throw base::ConfigError(
          base::concat(place, ": the ", message.role,
                       " message holds the text of a special token, and the template changes the message; "
                       "take the text out, or set data.allow_special_tokens: true"));
    }
    for (const size_t at : places) {
      add(std::string_view(rendered).substr(done, at - done), true);
      add(text, false);
      done = at + text.size();
    }
  }
  add(std::string_view(rendered).substr(done), true);
  const auto& bos = tokenizer.bos_prefix();
  if (starts_with(chat.encode_rendered(tokenizer, rendered), bos) && !starts_with(ids, bos))
    ids.insert(ids.begin(), bos.begin(), bos.end());
  return ids;
}

}  // namespace grpo::trainer
