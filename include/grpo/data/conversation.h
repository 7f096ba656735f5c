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

/// Reads a chat list: objects {"role", "content"}, or ShareGPT's {"from", "value"} with human, gpt and system as roles.
/// The content is a text or a list of parts {"type": "text", "text"}. Throws base::IoError that names place, key and
/// turn for an unknown role, a part that is not text, a tool call, or a list without a turn of the user.
std::vector<Message> read_conversation(const nlohmann::json& list, const std::string& place, const std::string& key);

/// Like read_conversation, but the user need not have a turn, as in the completion of a preference.
std::vector<Message> read_messages(const nlohmann::json& list, const std::string& place, const std::string& key);

/// Where a chat list stands as a text, as in a column of a CSV file: the messages if the text is such a list as JSON,
/// else nothing. Throws base::IoError like read_messages(), and for a chat list that was written as Python text.
std::vector<Message> messages_in_text(const std::string& text, const std::string& place, const std::string& key);

/// Throws base::IoError if none of the messages is the user's.
void require_question(const std::vector<Message>& messages, const std::string& place, const std::string& key);

}  // namespace grpo::data
