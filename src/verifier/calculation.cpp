#include "verifier/calculation.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>

#include "verifier/units.h"

namespace grpo::verifier {
namespace {

template <typename Predicate>
bool any_kid(Ref node, const Predicate& predicate) {
  return std::any_of(node->kids.begin(), node->kids.end(), predicate);
}

template <typename Predicate>
bool all_kids(Ref node, const Predicate& predicate) {
  return std::all_of(node->kids.begin(), node->kids.end(), predicate);
}

// What a problem may ask for of plain numbers: 2^{10}, 5!, \sqrt{16}, \gcd(12, 18), \sum_{k=1}^{10} k.
bool is_operation(Kind kind) {
  constexpr Kind kOperations[] = {Kind::kPow,      Kind::kRoot, Kind::kFactorial, Kind::kBinomial,
                                  Kind::kFunction, Kind::kLog,  Kind::kApply};
  return std::find(std::begin(kOperations), std::end(kOperations), kind) != std::end(kOperations);
}

bool is_constant_but_for_its_index(Ref node) {
  std::set<std::string> names;
  collect_symbols(node, names);
  names.erase(node->text);
  return names.empty();
}

bool is_unit_letter(Ref node) {
  if (node->kind == Kind::kPow) return is_unit_letter(node->kids[0]);
  return node->kind == Kind::kSymbol && find_unit(node->text).has_value();
}

// 3 m * 4 m, 24 m / 2 s: an operation on quantities whose units are letters. In 3m^2/4 they may be variables.
bool joins_lettered_quantities(Ref node) {
  if (node->kind == Kind::kDiv) {
    const auto is_quantity = [](Ref side) { return side->kind == Kind::kMul && contains(side, Kind::kSymbol); };
    if (is_quantity(node->kids[0]) && is_quantity(node->kids[1])) return true;
  }
  if (node->kind == Kind::kMul) {
    bool number = false, letter = false;
    for (Ref kid : node->kids) {
      if (letter && (!contains(kid, Kind::kSymbol) || kid->kind == Kind::kMul)) return true;
      letter = letter || (number && is_unit_letter(kid));
      number = number || !contains(kid, Kind::kSymbol);
    }
  }
  return any_kid(node, joins_lettered_quantities);
}

// 3 \cdot 10^4
bool is_scientific(Ref node) {
  if (node->kind != Kind::kMul || node->kids.size() != 2) return false;
  const Ref factor = node->kids[0], power = node->kids[1];
  return (factor->kind == Kind::kNumber || factor->kind == Kind::kNeg) && power->kind == Kind::kPow &&
         power->kids[0]->kind == Kind::kNumber && power->kids[0]->number == Rational(10);
}

class Finder {
 public:
  explicit Finder(bool operations) : operations_(operations) {}

  bool in(Ref node) const {
    switch (node->kind) {
      case Kind::kRelation:
        return !any_kid(node, [this](Ref kid) { return is_arithmetic(kid) && !is_left(kid); }) &&
               any_kid(node, [this](Ref kid) { return in(kid); });
      case Kind::kList:
      case Kind::kTuple:
      case Kind::kSet:
      case Kind::kMatrix:
        return any_kid(node, [this](Ref kid) { return in(kid); });
      default:
        return is_arithmetic(node) && is_left(node);
    }
  }

 private:
  // Whether a node consists of plain numbers and what joins them.
  bool is_arithmetic(Ref node) const {
    switch (node->kind) {
      case Kind::kNumber:
        return true;
      case Kind::kSymbol:
        return is_unit_letter(node);
      case Kind::kSum:
      case Kind::kProduct:
        return operations_ && is_constant_but_for_its_index(node);
      case Kind::kAdd:  // 2m + 3 may well be an answer
        if (contains(node, Kind::kSymbol)) return false;
        break;
      case Kind::kPow:
        if (is_unit_letter(node)) return true;
        if (!operations_) return false;
        if (contains(node->kids[0], Kind::kImaginary)) return is_constant(node);  // i^2, (1 + i)^2
        break;
      case Kind::kFunction:  // \sin(\pi/6), |3 + 4i|, \ln e
        return operations_ && is_constant(node);
      case Kind::kMul:
      case Kind::kNeg:
      case Kind::kDiv:
      case Kind::kUnit:
      case Kind::kPercent:
        break;
      default:
        if (!operations_ || !is_operation(node->kind)) return false;
    }
    return all_kids(node, [this](Ref kid) { return is_arithmetic(kid); });
  }

  // Whether something is left to be done in such a node.
  bool is_left(Ref node) const {
    if (is_scientific(node) || is_unit_letter(node)) return false;
    const bool product = node->kind == Kind::kMul || node->kind == Kind::kDiv;
    if (product && contains(node, Kind::kSymbol)) return joins_lettered_quantities(node);
    return node->by_sign || is_operation(node->kind) || node->kind == Kind::kSum || node->kind == Kind::kProduct ||
           any_kid(node, [this](Ref kid) { return is_left(kid); });
  }

  bool operations_;
};

}  // namespace

bool is_calculation(Ref node) { return Finder(false).in(node); }

bool is_calculation_or_operation(Ref node) { return Finder(true).in(node); }

}  // namespace grpo::verifier
