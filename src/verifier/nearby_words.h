#pragma once

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

// The words before and behind a value, without the markup between them and the value.
namespace grpo::verifier {

/// What \text{...} at the end of a text says: "not " of "\text{not }". Empty when no such command stands there.
std::string_view text_at_end(std::string_view before);

/// The last words before a value, of its last 48 bytes, in lower case and without the signs that may open the value,
/// such as $ and brackets. Begins with a blank.
std::string tail_of(std::string_view before);
/// The first words behind a value, in lower case and without the signs that may close the value; empty where a
/// sentence or a paragraph ends there. Ends in a blank otherwise.
std::string head_of(std::string_view behind);

/// Whether the text ends in `word`, which has to be a word of its own if it is of Latin letters.
bool ends_with_word(std::string_view text, std::string_view word);
bool starts_with_word(std::string_view text, std::string_view word);

template <size_t N>
bool ends_with_any(std::string_view text, const std::string_view (&words)[N]) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return ends_with_word(text, word); });
}

template <size_t N>
bool starts_with_any(std::string_view text, const std::string_view (&words)[N]) {
  return std::any_of(std::begin(words), std::end(words),
                     [&](std::string_view word) { return starts_with_word(text, word); });
}

}  // namespace grpo::verifier
