#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace grpo::reward {

/// An answer as plain text: \text{...}, styles, dollar signs and braces taken away, spaces single.
std::string plain_text(std::string_view latex);

/// Spelling without spaces (but between digits), \left, \right, sizes and final stop; case kept. Equal keys, equal answers.
std::string spelling_key(std::string_view latex);

/// Letters and digits only, in lower case, words separated by one space, without a leading article.
std::string word_key(std::string_view latex);

/// Whether an answer is words: letters that are neither variables, functions nor a unit behind a number.
bool is_wordy(std::string_view latex);

/// 12-hour or 24-hour times: "8:34 P.M." = "20:34", "9 a.m." = "9:00 am". nullopt when one side is no time.
std::optional<bool> same_time(std::string_view gold, std::string_view answer);

/// "June 20", "20 June 2020", "June 20th". A year on one side only is accepted. nullopt when one side is no date.
std::optional<bool> same_date(std::string_view gold, std::string_view answer);

/// "no solution", "none", "DNE", the empty set.
bool says_nothing_exists(std::string_view latex);

/// A multiple-choice answer: "D", "(D)", "D. 42", "(D) 42", "option D".
struct Choice {
  char letter = '\0';
  std::string rest;      // the text of the choice, if it is given
  bool marked = false;   // brackets, a full stop or the word "option" show that it is a choice, not a variable
};
std::optional<Choice> parse_choice(std::string_view latex);

}  // namespace grpo::reward
