#include "verifier/claim.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "verifier/char_class.h"
#include "verifier/numeric.h"
#include "verifier/quantity.h"

namespace grpo::verifier {
namespace {

bool is_symbol(Ref node) { return node->kind == Kind::kSymbol; }
bool is_capital(Ref node) { return is_symbol(node) && is_upper(node->text[0]); }

// AB, ABC: a segment, an angle, an area.
bool is_capitals(Ref node) {
  if (node->kind == Kind::kMul) return std::all_of(node->kids.begin(), node->kids.end(), is_capital);
  return is_capital(node);
}

void collect_symbols(Ref node, std::set<std::string>& names) {
  if (node->kind == Kind::kSymbol) names.insert(node->text);
  for (Ref kid : node->kids) collect_symbols(kid, names);
}
std::set<std::string> symbols_of(Ref node) {
  std::set<std::string> names;
  collect_symbols(node, names);
  return names;
}

bool has_symbols(Ref node) {
  return contains(node, Kind::kSymbol) || contains(node, Kind::kApply) || contains(node, Kind::kOpaque);
}

// `decimal` is `value` rounded or cut to the places it shows.
bool is_rounding_of(Ref decimal, Ref value, Arena& arena) {
  const bool negative = decimal->kind == Kind::kNeg;
  const Ref number = negative ? decimal->kids[0] : decimal;
  if (number->kind != Kind::kNumber) return false;
  const Rational shown = negative ? -number->number : number->number;
  const Rational unit = Rational::from_decimal("1", -number->fraction_digits);
  const auto within = [&](const Rational& low, const Rational& high, bool open_low, bool open_high) {
    const auto above = compare_reals(arena.number(low), value, arena);
    const auto below = compare_reals(value, arena.number(high), arena);
    return above && below && *above <= (open_low ? -1 : 0) && *below <= (open_high ? -1 : 0);
  };
  const Rational half = unit / Rational(2);
  if (within(shown - half, shown + half, false, false)) return true;
  return negative ? within(shown - unit, shown, true, false) : within(shown, shown + unit, false, true);
}

bool is_chain(Ref relation) {
  return std::all_of(relation->relations.begin(), relation->relations.end(),
                     [](Relation r) { return r == Relation::kEqual || r == Relation::kApprox; });
}

}  // namespace

// (y, x) = (1, 2) is not the point (1, 2).
static bool swaps_axes(Ref tuple) {
  const auto is_axis = [](Ref kid) { return kid->text == "x" || kid->text == "y" || kid->text == "z"; };
  return std::all_of(tuple->kids.begin(), tuple->kids.end(), is_axis) &&
         !std::is_sorted(tuple->kids.begin(), tuple->kids.end(), [](Ref a, Ref b) { return a->text < b->text; });
}

// |x| = 6 has two solutions; |z| = 6 tells a modulus.
static bool is_unknown(Ref symbol) {
  return symbol->text == "x" || symbol->text == "y" || symbol->text == "n" || symbol->text == "t";
}

bool is_name(Ref node) {
  switch (node->kind) {
    case Kind::kSymbol:
    case Kind::kApply:
    case Kind::kOpaque:
      return true;
    case Kind::kMul:
      return is_capitals(node);
    case Kind::kEuler:
      return false;
    case Kind::kFunction:
      return node->text == "abs" &&
             (is_capitals(node->kids[0]) || (is_symbol(node->kids[0]) && !is_unknown(node->kids[0])));
    case Kind::kDiv:
    case Kind::kRatio:
      return std::all_of(node->kids.begin(), node->kids.end(),
                         [](Ref kid) { return is_symbol(kid) || is_capitals(kid); });
    case Kind::kTuple:
      return std::all_of(node->kids.begin(), node->kids.end(), is_symbol) && !swaps_axes(node);
    default:
      return false;
  }
}

namespace {

// Only symbols, products, powers and functions of them, without a number but in exponents: m + n, |z - w|, \\sin A.
// Says no equation of one unknown, such as x^2 = 4.
bool is_composed(Ref node, std::set<std::string>& names) {
  switch (node->kind) {
    case Kind::kSymbol:
      names.insert(node->text);
      return true;
    case Kind::kApply:
    case Kind::kOpaque:
      names.insert(canonical_text(node));
      return true;
    case Kind::kPow:
      return is_composed(node->kids[0], names) &&
             (node->kids[1]->kind == Kind::kNumber || is_composed(node->kids[1], names));
    case Kind::kRoot:
      return is_composed(node->kids[0], names);
    case Kind::kAdd:
    case Kind::kMul:
    case Kind::kNeg:
    case Kind::kDiv:
    case Kind::kBinomial:
    case Kind::kFunction:
      return std::all_of(node->kids.begin(), node->kids.end(), [&](Ref kid) { return is_composed(kid, names); });
    default:
      return false;
  }
}

// False when two of the constants of a chain differ: x = 3 + 5 = 7.
bool is_consistent(const std::vector<Ref>& kids, size_t first, size_t last, const ScalarPolicy& policy, Arena& arena) {
  for (size_t i = first; i < last; ++i) {
    if (has_symbols(kids[i]) || has_symbols(kids[i + 1]) || kids[i]->kind >= Kind::kList ||
        kids[i + 1]->kind >= Kind::kList)
      continue;
    if (!same_quantities(kids[i], kids[i + 1], policy, arena)) return false;
  }
  return true;
}

}  // namespace

bool is_composite_name(Ref node) {
  std::set<std::string> names;
  const bool function = node->kind == Kind::kFunction && node->text != "abs";
  if (!is_composed(node, names)) return false;
  // x + y = 7 is a line, x^2 + y^2 = 25 a circle.
  const bool curve = !function && std::all_of(names.begin(), names.end(), [](const std::string& name) {
    return name == "x" || name == "y" || name == "z";
  });
  return !curve && (names.size() > 1 || function);
}

Claim read_claim(Ref relation, const ScalarPolicy& policy, Arena& arena, bool composite) {
  const auto& kids = relation->kids;
  const auto names = [composite](Ref node) { return is_name(node) || (composite && is_composite_name(node)); };
  if (relation->relations.size() == 1 && relation->relations[0] == Relation::kIn) {
    return is_name(kids[0]) ? Claim{kids[0], {kids[1]}} : Claim{};
  }
  if (!is_chain(relation)) return {};
  const auto approx = std::find(relation->relations.begin(), relation->relations.end(), Relation::kApprox);
  const auto exact_end =
      static_cast<size_t>(approx - relation->relations.begin());  // last operand before the first \\approx
  Claim claim;
  if (names(kids[0])) claim.name = kids[0];
  if (claim.name != nullptr && exact_end == 0) {
    claim.values = {kids.back()};
    return claim;
  }
  Ref value = kids[exact_end];
  if (claim.name != nullptr && !is_name(claim.name) && has_symbols(value)) return {};
  if (claim.name == nullptr && exact_end == 1 && kids.size() == 2 && is_name(kids[1])) {
    claim.name = kids[1];
    value = kids[0];
  } else if (claim.name == nullptr) {
    const bool numbers = std::none_of(kids.begin(), kids.end(), has_symbols);
    if (!numbers) return {};
    for (size_t i = 0; i < exact_end; ++i) {
      if (!same_quantities(kids[i], kids[i + 1], policy, arena)) return {};
    }
  } else if (!is_consistent(kids, 1, exact_end, policy, arena)) {
    return {};
  }
  claim.values = {value};
  for (size_t i = exact_end + 1; i < kids.size(); ++i) {
    const bool rounded = is_rounding_of(kids[i], value, arena);
    if (!rounded && !has_symbols(kids[i]) && !has_symbols(value)) return {};  // 5 \approx 6
    if (rounded) claim.values.push_back(kids[i]);
  }
  return claim;
}

namespace {

// An argument that only stands for any number, as in f(x) = x^2. Capitals name things, as events and points do, and
// what stands between two operands of a product is no argument.
bool is_free_argument(Ref argument) {
  return is_symbol(argument) && !argument->vector && !argument->text.empty() && !is_upper(argument->text[0]);
}

bool is_operation(Ref apply) {
  constexpr std::array<std::string_view, 6> kOperations = {"cross", "dot", "beside", "mod", "land", "lor"};
  return std::find(kOperations.begin(), kOperations.end(), apply->text) != kOperations.end();
}

}  // namespace

bool same_name(Ref a, Ref b) {
  if (canonical_text(a) == canonical_text(b)) return true;
  const bool functions = a->kind == Kind::kApply && b->kind == Kind::kApply;
  if (functions)
    return a->text == b->text && a->kids.size() == b->kids.size() && !is_operation(a) &&
           std::all_of(a->kids.begin(), a->kids.end(), is_free_argument) &&
           std::all_of(b->kids.begin(), b->kids.end(), is_free_argument);
  // y = 2x and f(x) = 2x describe the same graph.
  const auto is_y = [](Ref node) { return node->kind == Kind::kSymbol && node->text == "y"; };
  const auto is_function = [](Ref node) {
    return node->kind == Kind::kApply && node->kids.size() == 1 && node->kids[0]->kind == Kind::kSymbol;
  };
  return (is_y(a) && is_function(b)) || (is_function(a) && is_y(b));
}

bool may_rename(Ref value, Ref from_name, Ref to_name) {
  if (from_name->kind != Kind::kApply || to_name->kind != Kind::kApply) return true;
  const auto free = symbols_of(value);
  for (size_t i = 0; i < from_name->kids.size(); ++i) {
    const std::string& from = from_name->kids[i]->text;
    const std::string& to = to_name->kids[i]->text;
    if (from != to && free.contains(to)) return false;
  }
  return true;
}

Ref rename_argument(Ref value, Ref from_name, Ref to_name, Arena& arena) {
  if (from_name->kind != Kind::kApply || to_name->kind != Kind::kApply) return value;
  if (value->kind == Kind::kSymbol) {
    for (size_t i = 0; i < from_name->kids.size(); ++i) {
      if (value->text == from_name->kids[i]->text) return to_name->kids[i];
    }
    return value;
  }
  if (value->kids.empty()) return value;
  Node copy = *value;
  for (Ref& kid : copy.kids) kid = rename_argument(kid, from_name, to_name, arena);
  return arena.keep(std::move(copy));
}

}  // namespace grpo::verifier
