#pragma once

#include <cstddef>
#include <string>

namespace grpo::report {

/// A value by printf's `format`; "–" when it is not finite.
std::string number(double value, const char* format);

/// The change from `baseline` to `value` in percent, such as "−76 %"; "" when it is not defined.
std::string relative_change(double value, double baseline);

/// A value with its sign, by printf's `format` of its magnitude: "+0.9" or "−0.9".
std::string signed_number(double value, const char* format);

/// Escapes a text for an HTML element or a quoted attribute.
std::string escape_html(const std::string& text);

/// Drops the leading "eval/": eval/heldout/mean@4 gives heldout/mean@4.
std::string without_eval(const std::string& metric);

/// The number of characters, not bytes: the columns that the texts used here take on a terminal.
size_t width_of(const std::string& utf8);

}  // namespace grpo::report
