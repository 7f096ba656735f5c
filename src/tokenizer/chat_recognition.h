#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokenizer/chat_family.h"

namespace grpo::tokenizer {

struct RecognisedTemplate {
  const ChatFamily* family;
  std::optional<std::string> default_system;  // where the text has another one than the family
};

/// The built-in template whose published Jinja text this is; nullopt when it is none. A template is known by a hash of
/// its text without the default system message and trailing white space, plain ChatML by is_plain_chatml().
std::optional<RecognisedTemplate> recognise_chat_template(std::string_view jinja);

/// The built-in template that shares most telltale phrases with the text.
const ChatFamily& closest_chat_family(std::string_view jinja);

}  // namespace grpo::tokenizer
