#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace grpo::tokenizer {

/// One code point of valid UTF-8 and its length in bytes.
struct CodePoint {
  char32_t value;
  size_t length;
};

/// REQUIRES: text is valid UTF-8 and position < text.size().
CodePoint code_point_at(std::string_view text, size_t position);

void append_utf8(std::string& text, char32_t code_point);

/// `bytes` with U+FFFD in place of each maximal part that cannot continue to a character (Unicode 3.9, "substitution of
/// maximal subparts"). Valid UTF-8 comes back as it is.
std::string to_valid_utf8(std::string bytes);

bool is_valid_utf8(std::string_view bytes);
bool is_ascii(std::string_view text);
bool is_white_space(char32_t code_point);

/// `text` without the characters of property White_Space at its start, or at its end.
std::string_view strip_white_space_left(std::string_view text);
std::string_view strip_white_space_right(std::string_view text);

/// True when Unicode versions disagree on a character of this valid UTF-8, so that regular expressions need the tables.
bool has_version_dependent_characters(std::string_view text);

/// True for characters that normalisation leaves alone because its tables are older (Unicode 9).
bool is_unknown_to_normalization(char32_t code_point);

/// Each character's own lower case, without context (a final sigma stays a sigma).
std::string to_lower(std::string_view text);

}  // namespace grpo::tokenizer
