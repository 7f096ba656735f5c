#pragma once

#include <set>
#include <string>
#include <vector>

#include "verifier/ast.h"
#include "verifier/lexer.h"

namespace grpo::verifier {

/// What stands behind an answer and says where it holds: "for all real x", "where k is an integer", "(k \in
/// \mathbb{Z})", "if n is odd".
struct Condition {
  std::string text;             // its tokens; empty when there is none
  std::string form;             // its tokens without the names
  std::set<std::string> names;  // the variables that it speaks of
  std::string domain;           // "Z", "R", "Z+": in which set they live, in signs or words; empty when it says nothing
  bool restricts = false;       // "if n is odd": the answer says less than one without the condition
  bool bounds = false;          // holds an order or a number: "for x > 0"
  bool every = false;           // "for all x"
  bool some = false;            // "for some k"
  std::string parameter;        // k of "k \in \mathbb{Z}", when it says nothing else
};

/// Takes the condition off the end of an answer. The last token is kEnd before and after.
Condition take_condition(std::vector<Token>& tokens);

/// A condition on a variable that a formula does not have is not understood, so that it restricts. A constant may hold
/// "for all n".
void tie_condition(Condition& condition, Ref statement);

/// Whether two answers that are equal up to their conditions are equal: conditions that say the same, or only where
/// variables live, which may be left out. One that restricts has to stand on both sides.
/// "for all a" and "for all x" of one formula in a and x differ, and so do two domains.
bool agree(const Condition& a, Ref a_statement, const Condition& b, Ref b_statement);

/// An integer parameter has no name of its own: with n of `from` written as k of `to`, unless k stands for something
/// else.
Ref rename_parameter(Ref node, const Condition& from, const Condition& to, Arena& arena);

}  // namespace grpo::verifier
