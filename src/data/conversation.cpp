#include "grpo/data/conversation.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/parse_json.h"

namespace grpo::data {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 4> kRoles = {"system", "user", "assistant", "tool"};
// ShareGPT's names of two of these roles.
constexpr std::array<std::pair<const char*, const char*>, 2> kOtherRoles = {{{"human", "user"}, {"gpt", "assistant"}}};

// Says in errors which message of which row is meant.
struct Turn {
  const std::string& place;
  const std::string& key;
  size_t number;

  [[noreturn]] void fail(const std::string& what) const {
    throw base::IoError(base::concat(place, ": ", key, ", message ", number, ": ", what));
  }
};

std::string role_of(const json& message, const Turn& turn) {
  const json value = message.contains("role") ? message["role"] : message.value("from", json());
  if (!value.is_string()) turn.fail("has no role; expected {\"role\", \"content\"}");
  std::string role = value.get<std::string>();
  for (const auto& [theirs, ours] : kOtherRoles) {
    if (role == theirs) role = ours;
  }
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    turn.fail("role \"" + role + "\" is unknown; expected system, user, assistant or tool");
  }
  return role;
}

std::string part_text(const json& part, const Turn& turn) {
  if (part.is_string()) return part.get<std::string>();
  if (part.is_object() && part.value("type", json("text")) == "text" && part.value("text", json()).is_string())
    return part["text"].get<std::string>();
  turn.fail("a part of the content is " +
            (part.is_object() ? part.value("type", json("of unknown type")).dump() : part.dump()) +
            "; only texts are read");
}

std::string content_of(const json& message, const Turn& turn) {
  if (!message.value("tool_calls", json()).empty()) turn.fail("calls tools, which is not supported");
  const json content = message.contains("content") ? message["content"] : message.value("value", json());
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array())
    turn.fail(std::string("content is ") + content.type_name() + ", expected a string or a list of parts");
  std::string text;
  for (const auto& part : content) text += part_text(part, turn);
  return text;
}

bool is_message(const json& value) {
  const auto has = [&](const char* one, const char* other) { return value.contains(one) && value.contains(other); };
  return value.is_object() && (has("role", "content") || has("from", "value"));
}

}  // namespace

std::vector<Message> messages_in_text(const std::string& text, const std::string& place, const std::string& key) {
  const size_t open = text.find_first_not_of(" \t\r\n");
  if (open == std::string::npos || text[open] != '[') return {};
  if (io::json_depth(text) > io::kMaxJsonDepth) return {};
  const json list = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (list.is_array() && !list.empty() && is_message(list[0])) return read_messages(list, place, key);
  const auto begins = [&](std::string_view start) { return std::string_view(text).substr(open).starts_with(start); };
  if (begins("[{'role'") || begins("[{'content'") || begins("[{'from'") || begins("[{'value'")) {
    throw base::IoError(place + ": " + key +
                        " is a chat list written as Python text; write it as JSON (json.dumps), or keep it a list");
  }
  return {};
}

std::vector<Message> read_messages(const json& list, const std::string& place, const std::string& key) {
  std::vector<Message> messages;
  for (const auto& message : list) {
    const Turn turn{place, key, messages.size()};
    if (!message.is_object())
      turn.fail(std::string("is ") + message.type_name() + ", expected {\"role\", \"content\"}");
    messages.push_back({role_of(message, turn), content_of(message, turn)});
  }
  return messages;
}

void require_question(const std::vector<Message>& messages, const std::string& place, const std::string& key) {
  const bool asks =
      std::any_of(messages.begin(), messages.end(), [](const Message& message) { return message.role == "user"; });
  if (!asks) throw base::IoError(place + ": " + key + " has no message with role \"user\"");
}

std::vector<Message> read_conversation(const json& list, const std::string& place, const std::string& key) {
  auto messages = read_messages(list, place, key);
  require_question(messages, place, key);
  return messages;
}

}  // namespace grpo::data
