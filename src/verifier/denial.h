#pragma once

#include <string_view>

namespace grpo::verifier {

/// Whether the text before or behind a value denies it: "not", "rather than", "... is wrong", in English, Chinese,
/// French, German, Spanish, Portuguese, Italian, Russian, Japanese, Korean, Arabic, Hindi. Markup between the words and
/// the value does not count.
bool denied_before(std::string_view before);
bool denied_behind(std::string_view behind);

/// The same of a list: "x = 3 or x = 4 do not work". Behind one number a plural counts things: "20 are not prime".
bool list_denied_behind(std::string_view behind);

}  // namespace grpo::verifier
