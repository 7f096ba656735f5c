#pragma once

#include <set>
#include <string>
#include <vector>

#include "verifier/ast.h"
#include "verifier/lexer.h"

namespace grpo::verifier {

/// The words or signs behind an answer that say where it holds: "for all real x", "where k is an integer", "(k \in
/// \mathbb{Z})", "if n is odd".
struct Condition {
  std::string text;             // the tokens; empty when the answer has no condition
  std::string form;             // the tokens with # in place of each variable
  std::set<std::string> names;  // the variables
  std::string domain;           // the set in which the variables live: "Z", "R", "R+"; empty when none is named
  bool restricts = false;       // the answer claims less than without the condition: "if n is odd"
  bool bounds = false;          // holds a relation such as < or =: "for x > 0"
  bool every = false;           // "for all x"
  bool some = false;            // "for some k"
  std::string parameter;        // k of "k \in \mathbb{Z}"
};

/// Takes the condition off the end of an answer. The last token is kEnd before and after.
Condition take_condition(std::vector<Token>& tokens);

/// Sets `restricts` when the statement is a formula without some variable of the condition: such a condition is not
/// understood. A constant has no variables and may well hold "for all n".
void tie_condition(Condition& condition, Ref statement);

/// Whether two answers that are equal up to their conditions are equal with them. A condition that only says where
/// variables live may be left out on one side; one that restricts has to stand on both.
/// "for all a" and "for all x" behind one formula in a and x differ, and so do two domains.
bool agree(const Condition& a, Ref a_statement, const Condition& b, Ref b_statement);

/// `node` with the parameter of `from` called like that of `to`, since 2\pi n with n \in \mathbb{Z} and 2\pi k with
/// k \in \mathbb{Z} say the same. Unchanged when k already stands for something else in `node`.
Ref rename_parameter(Ref node, const Condition& from, const Condition& to, Arena& arena);

}  // namespace grpo::verifier
