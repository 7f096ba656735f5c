#include "tokenizer/python_text.h"

#include <algorithm>

#include "tokenizer/unicode.h"

namespace grpo::tokenizer {

std::string python_strip(std::string_view text, std::string_view characters, Side side) {
  if (side != Side::kRight) text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
  if (side != Side::kLeft) text = text.substr(0, text.find_last_not_of(characters) + 1);
  return std::string(text);
}

std::string python_strip(std::string_view text) {
  static constexpr std::string_view kSeparators = "\x1c\x1d\x1e\x1f";
  const std::string valid = to_valid_utf8(std::string(text));
  std::string stripped = valid;
  for (size_t before = std::string::npos; stripped.size() != before;) {
    before = stripped.size();
    stripped = python_strip(strip_white_space_right(strip_white_space_left(stripped)), kSeparators);
  }
  return stripped;
}

std::string after_last(std::string_view text, std::string_view separator) {
  const size_t at = text.rfind(separator);
  return std::string(at == std::string_view::npos ? text : text.substr(at + separator.size()));
}

}  // namespace grpo::tokenizer
