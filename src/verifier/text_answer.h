#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace grpo::verifier {

/// An answer as plain text: \text{...}, styles, dollar signs and braces taken away, spaces single.
std::string plain_text(std::string_view latex);

/// Spelling without spaces (but between digits), \left, \right, sizes and final stop; case kept. Equal keys, equal
/// answers.
std::string spelling_key(std::string_view latex);

/// A spelling key with the variable of its one definite integral named alike: \int_0^1 f(x) dx and \int_0^1 f(t) dt.
std::string with_bound_variable(const std::string& spelling);

/// The parts of an answer with its words in lower case and without a leading article; signs, operators, digits and
/// brackets all count, so equal keys are equal answers. Throws ParseError.
std::string text_key(std::string_view latex);

/// Letters in capitals that may be names of points or choices, where case counts: ABC, but not YES.
bool is_capitals(std::string_view word);

/// 12-hour or 24-hour times: "8:34 P.M." = "20:34", "9 a.m." = "9:00 am". nullopt when one side is no time.
std::optional<bool> same_time(std::string_view gold, std::string_view answer);

/// A time that can be nothing else: "1:03 PM", "2:05".
bool is_clock_time(std::string_view latex);

/// "June 20", "20 June 2020", "June 20th". A year on one side only is accepted. nullopt when one side is no date.
std::optional<bool> same_date(std::string_view gold, std::string_view answer);

/// "no solution", "none", "DNE", the empty set.
bool says_nothing_exists(std::string_view latex);

}  // namespace grpo::verifier
