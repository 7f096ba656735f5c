#pragma once

#include <string>
#include <string_view>

namespace grpo::verifier {

/// Unicode mathematics rewritten in ASCII and LaTeX: superscripts as ^{..}, fractions as \frac, symbols as commands,
/// full-width forms and digits of other scripts as ASCII, invisible characters dropped. Letters of other scripts stay.
/// Bytes that are no UTF-8 become U+FFFD. Work is linear.
std::string to_latex(std::string_view text);

/// One code point from `text` at `at`, which moves behind it; U+FFFD for invalid bytes. REQUIRES: at < text.size().
char32_t next_code_point(std::string_view text, size_t& at);
void append_utf8(std::string& out, char32_t code);

}  // namespace grpo::verifier
