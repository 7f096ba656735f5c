#pragma once

#include <string>
#include <string_view>

namespace grpo::verifier {

/// Whether a clause ends at the beginning of `text`, but for marks of formulas and bold type.
bool ends_clause(std::string_view text);

/// Takes the letter of a choice, "C", "(C)" or "option C", off the beginning of a text, if its clause ends behind it;
/// else returns "" and takes nothing. "I" and small letters are words.
std::string take_letter(std::string_view& text);

/// The "(B)" of a statement that is nothing but a choice: "option B", "**B**"; else "".
std::string chosen_letter(std::string_view statement);

/// The "(B)" that names the choice directly behind a box: " (B)", " (Option B)", ", which is choice B"; else "".
std::string choice_behind(std::string_view behind);

/// The "(B)" of a last sentence "Hence, option B is correct" or "I choose B"; else "".
std::string named_choice(std::string_view text);

}  // namespace grpo::verifier
