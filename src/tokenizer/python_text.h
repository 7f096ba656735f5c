#pragma once

#include <string>
#include <string_view>

namespace grpo::tokenizer {

// String methods as Jinja templates have them from Python.

enum class Side { kBoth, kLeft, kRight };

/// str.strip(characters), lstrip or rstrip; ASCII characters.
std::string python_strip(std::string_view text, std::string_view characters, Side side = Side::kBoth);

/// str.strip(): Python's white space, which is Unicode's and U+001C to U+001F.
std::string python_strip(std::string_view text);

/// text.split(separator)[-1].
std::string after_last(std::string_view text, std::string_view separator);

}  // namespace grpo::tokenizer
