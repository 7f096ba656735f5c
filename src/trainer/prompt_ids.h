#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "grpo/tokenizer/chat_template.h"
#include "grpo/tokenizer/tokenizer.h"

namespace grpo::trainer {

/// Whether a message holds the text of a special token, as <|im_end|>.
bool has_special_text(const tokenizer::Tokenizer& tokenizer, const std::vector<tokenizer::Message>& messages);

/// The ids of a conversation's prompt. The template's special tokens become tokens, while those that messages spell
/// stay plain text, because a data set must not be able to write turns of its own. Throws base::ConfigError, naming
/// `place`, where the template changes such a message, so that its text cannot be found in what the template has made.
std::vector<int64_t> encode_as_text(const tokenizer::Tokenizer& tokenizer, const tokenizer::ChatTemplate& chat,
                                    const std::vector<tokenizer::Message>& messages, const std::string& place);

}  // namespace grpo::trainer
