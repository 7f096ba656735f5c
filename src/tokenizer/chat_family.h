#pragma once

#include <span>
#include <string>
#include <string_view>

#include "grpo/tokenizer/chat_template.h"

namespace grpo::tokenizer {

/// What a renderer needs besides the messages.
struct ChatContext {
  std::string bos, date, default_system;
  bool add_generation_prompt = true;
  bool closes_thinking = false;       // enable_thinking is false
  bool writes_default_system = true;  // false: no system turn where there is no system message
};

/// One published template.
struct ChatFamily {
  const char* name;
  const char* alias;  // or nullptr
  const char* bos;    // "" where the template writes none
  const char* end_of_turn;
  const char* default_system;  // "" where there is none
  const char* variable;        // "date_string" or "enable_thinking" where the template reads it; else ""
  std::string (*render)(std::span<const Message> messages, const ChatContext& context);
};

std::span<const ChatFamily> chat_families();

/// By name or alias; nullptr if unknown.
const ChatFamily* find_chat_family(std::string_view name);

}  // namespace grpo::tokenizer
