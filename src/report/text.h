#pragma once

#include <cstddef>
#include <string>

namespace grpo::report {

/// printf's `format` of a value; "–" when it is not finite.
std::string number(double value, const char* format);

/// "−76 %": value against baseline, as in the paper's tables; "" when that has no meaning.
std::string relative_change(double value, double baseline);

/// "+0.9" or "−0.9".
std::string signed_number(double value, const char* format);

/// For the text of an HTML element or a quoted attribute.
std::string escape_html(const std::string& text);

/// eval/heldout/mean@4 -> heldout/mean@4
std::string without_eval(const std::string& metric);

/// Characters, not bytes: what a terminal column takes for the text used here.
size_t width_of(const std::string& utf8);

}  // namespace grpo::report
