#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace grpo::tokenizer {

// Byte-level vocabularies (GPT-2) write each byte as one printable character: the printable Latin-1 bytes as
// themselves, the other 68 as U+0100 and up in order.

void append_byte_level(std::string& text, std::string_view bytes);

/// The bytes a byte-level token stands for; the token's own bytes if it holds a character outside that alphabet.
void append_bytes_of_token(std::string& bytes, std::string_view token);

}  // namespace grpo::tokenizer
