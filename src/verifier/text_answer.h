#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace grpo::verifier {

/// An answer as plain text: \text{...}, styles, dollar signs and braces taken away, spaces single.
std::string plain_text(std::string_view latex);

/// The spelling without spaces (except between digits), \left, \right, \displaystyle and final full stops; \dfrac
/// becomes \frac, case stays. Answers with equal keys are equal.
std::string spelling_key(std::string_view latex);

/// A spelling key in which the variable of its one definite integral has a fixed name, so that \int_0^1 f(x) dx and
/// \int_0^1 f(t) dt get the same key.
std::string with_bound_variable(const std::string& spelling);

/// The tokens of an answer, its words in lower case and without a leading article. Signs, operators, digits and
/// brackets all count, so answers with equal keys are equal. Throws ParseError.
std::string text_key(std::string_view latex);

/// Whether a word is capitals that may name points or choices, so that their case counts: ABC, but not YES.
bool is_capitals(std::string_view word);

/// Whether two answers are the same 12-hour or 24-hour time: "8:34 P.M." = "20:34", "9 a.m." = "9:00 am". nullopt when
/// one is no time, or both are pairs of numbers that may be different ratios.
std::optional<bool> same_time(std::string_view gold, std::string_view answer);

/// Whether an answer can be nothing but a time: "1:03 PM", "2:05". 7:30 could be a ratio.
bool is_clock_time(std::string_view latex);

/// Whether two answers are the same date: "June 20", "20 June 2020", "June 20th". A year on one side only is accepted.
/// nullopt when one is no date.
std::optional<bool> same_date(std::string_view gold, std::string_view answer);

/// Whether an answer says that there are infinitely many, in words or by the sign of infinity.
bool says_infinitely_many(std::string_view latex);

/// Whether an answer says that nothing exists: "no solution", "none", "DNE", the empty set.
bool says_nothing_exists(std::string_view latex);

}  // namespace grpo::verifier
