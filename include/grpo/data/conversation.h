#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::data {

/// One turn of a conversation.
struct Message {
  std::string role;  // "system", "user", "assistant" or "tool"
  std::string content;
  bool operator==(const Message&) const = default;
};

/// A chat list: {"role", "content"} objects (or ShareGPT's {"from", "value"}: human, gpt, system), whose content is a
/// text or a list of parts {"type": "text", "text"}. Throws base::IoError naming place, key, turn and what is wrong:
/// another role, a part that is no text, a call of a tool, no turn of the user's.
std::vector<Message> read_conversation(const nlohmann::json& list, const std::string& place, const std::string& key);

/// The same for a part of a conversation, which need not have a turn of the user's.
std::vector<Message> read_messages(const nlohmann::json& list, const std::string& place, const std::string& key);

/// The messages of the chat list that a text holds as JSON, as columns of CSV files do; empty where it holds none.
/// Errors as read_messages().
std::vector<Message> messages_in_text(const std::string& text, const std::string& place, const std::string& key);

/// Throws base::IoError where messages, which are not empty, have no turn of the user's.
void require_question(const std::vector<Message>& messages, const std::string& place, const std::string& key);

}  // namespace grpo::data
