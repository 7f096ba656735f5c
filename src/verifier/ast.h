#pragma once

#include <deque>
#include <set>
#include <string>
#include <vector>

#include "verifier/budget.h"
#include "verifier/rational.h"

namespace grpo::verifier {

enum class Kind {
  // scalars
  kNumber,  // number is the value, text the spelling; the digit counts are those of a decimal
  kSymbol,  // text is the name: x, x_1, alpha, y'
  kPi,
  kEuler,
  kImaginary,
  kInfinity,
  kAdd,  // two or more kids
  kMul,  // two or more kids
  kNeg,
  kDiv,
  kPow,
  kRoot,       // kids: radicand, index
  kFactorial,  // text is "!" or "!!"
  kBinomial,
  kFunction,   // text is a known name (sin, ln, max, ...); kids are the arguments
  kLog,        // kids: argument, and base if one is written
  kApply,      // text is the name of an unknown function or operation; kids are its arguments
  kSum,        // kids: body, from, to; text is the index
  kProduct,    // as kSum
  kOpaque,     // text names it (a derivative, an integral): equal only to itself
  kPlusMinus,  // two kids for a \pm b, one for \pm b; text is "+" for \pm and "-" for \mp
  kPercent,
  kUnit,  // one kid; text is the unit as written
  // structures
  kRatio,  // a : b : c
  kList,   // text is the separator: ",", ";", "or", "and"; "pm" for the values of \pm, "parts" for labelled parts
  kTuple,  // text is the brackets: "()", "(]", "[]", "[)"
  kSet,
  kMatrix,  // kids row by row; columns is the width
  kUnion,
  kIntersection,
  kDifference,
  kNamedSet,   // text: "R", "Z", "Q", "N", "C"
  kRelation,   // kids are the operands of a chain; relations are the operators between them
  kPiecewise,  // kids: value, condition, value, condition, ...; a condition is a relation, a set of relations, words
               // (kOpaque), or the symbol "otherwise"
};

enum class Relation { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kApprox, kIn, kCongruent };

struct Node {
  Kind kind = Kind::kNumber;
  std::vector<const Node*> kids;
  std::string text;
  Rational number;
  int significant_digits = 0;  // of a number written with a decimal point; 0 for integers
  int fraction_digits = 0;     // digits after the point
  int columns = 0;
  bool parenthesized = false;  // written inside its own brackets
  bool vector = false;         // a symbol under an arrow or in bold
  bool spaced = false;         // a symbol behind a space; a tuple with a space behind its first comma
  bool by_sign = false;        // a sum, product or quotient made by a sign, other than 3 1/2, 3 million and 3/4
  int depth = 1;               // longest path to a leaf, at most kMaxTreeDepth
  std::vector<Relation> relations;
};
using Ref = const Node*;

/// Owns the nodes of one comparison. Nodes never change once they are made.
class Arena {
 public:
  explicit Arena(Budget& budget) : budget_(budget) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  Ref make(Kind kind, std::vector<Ref> kids = {}, std::string text = "");
  Ref number(Rational value);
  Ref keep(Node node);
  Budget& budget() { return budget_; }

 private:
  Budget& budget_;
  std::deque<Node> nodes_;
};

/// One spelling per structure, in which the operands of sums, products, sets, unions and intersections are sorted.
/// Equal texts mean equal expressions; different texts decide nothing.
std::string canonical_text(Ref node);

/// The expression as a reader would write it, for reports.
std::string to_text(Ref node);

/// Whether the node or any node below it is of this kind.
bool contains(Ref node, Kind kind);

/// Adds the names of the symbols in the node.
void collect_symbols(Ref node, std::set<std::string>& names);

/// Whether the node has no variable, unknown function or opaque part.
bool is_constant(Ref node);

}  // namespace grpo::verifier
