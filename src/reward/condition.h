#pragma once

#include <string>
#include <vector>

#include "reward/ast.h"
#include "reward/lexer.h"

namespace grpo::reward {

/// What stands behind an answer and says where it holds: "for all real x", "where k is an integer", "(k \in
/// \mathbb{Z})", "if n is odd".
struct Condition {
  std::string text;        // its tokens; empty when there is none
  bool restricts = false;  // "if n is odd": the answer says less than one without the condition
  bool bounds = false;     // holds an order or a number: "for x > 0"
  std::string parameter;   // k of "k \in \mathbb{Z}", when it says nothing else
};

/// Takes the condition off the end of an answer. The last token is kEnd before and after.
Condition take_condition(std::vector<Token>& tokens);

/// Whether two answers that are equal up to their conditions are equal: conditions that say the same, or only where
/// variables live, which may be left out. One that restricts has to stand on both sides.
bool agree(const Condition& a, const Condition& b);

/// An integer parameter has no name of its own: with n of `from` written as k of `to`, unless k stands for something
/// else.
Ref rename_parameter(Ref node, const Condition& from, const Condition& to, Arena& arena);

}  // namespace grpo::reward
