#include "verifier/claim.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "verifier/char_class.h"
#include "verifier/index.h"
#include "verifier/numeric.h"
#include "verifier/quantity.h"

namespace grpo::verifier {
namespace {

bool is_symbol(Ref node) { return node->kind == Kind::kSymbol; }
bool is_capital(Ref node) { return is_symbol(node) && is_upper(node->text[0]); }

// Whether a node is one capital or a product of capitals: AB may be a segment, ABC an angle or an area.
bool are_capitals(Ref node) {
  if (node->kind == Kind::kMul) return std::all_of(node->kids.begin(), node->kids.end(), is_capital);
  return is_capital(node);
}

std::set<std::string> symbols_of(Ref node) {
  std::set<std::string> names;
  collect_symbols(node, names);
  return names;
}

// Whether an expression holds names other than the indices of its sums.
bool has_symbols(Ref node, const std::set<std::string>& indices = {}) {
  if (node->kind == Kind::kSymbol) return !indices.contains(node->text);
  if (node->kind == Kind::kApply || node->kind == Kind::kOpaque) return true;
  std::set<std::string> inner = indices;
  if (is_series(node)) inner.insert(node->text);
  return std::any_of(node->kids.begin(), node->kids.end(), [&](Ref kid) { return has_symbols(kid, inner); });
}

// Whether `decimal` is `value` rounded or cut to the places that `decimal` shows.
bool is_rounding_of(Ref decimal, Ref value, Arena& arena) {
  const bool measured = decimal->kind == value->kind && decimal->text == value->text &&
                        (value->kind == Kind::kUnit || value->kind == Kind::kPercent);
  if (measured) return is_rounding_of(decimal->kids[0], value->kids[0], arena);
  // 12\pi \approx 37.70 cm^2, 1/6 \approx 16.67 %
  if (decimal->kind == Kind::kUnit) return is_rounding_of(decimal->kids[0], value, arena);
  if (decimal->kind == Kind::kPercent && value->kind != Kind::kUnit)
    return is_rounding_of(decimal->kids[0], arena.make(Kind::kMul, {value, arena.number(Rational(100))}), arena);
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

// Whether an expression may be what a matrix is called by: A^{-1}, A^T, A^{-1}B.
bool names_matrix(Ref node) {
  if (node->kind == Kind::kMul) return std::all_of(node->kids.begin(), node->kids.end(), names_matrix);
  return is_capital(node->kind == Kind::kPow ? node->kids[0] : node);
}

bool is_chain(Ref relation) {
  return std::all_of(relation->relations.begin(), relation->relations.end(),
                     [](Relation r) { return r == Relation::kEqual || r == Relation::kApprox; });
}

}  // namespace

// Whether a tuple names the axes in another order: (y, x) = (1, 2) is not the point (1, 2).
static bool swaps_axes(Ref tuple) {
  const auto is_axis = [](Ref kid) { return kid->text == "x" || kid->text == "y" || kid->text == "z"; };
  return std::all_of(tuple->kids.begin(), tuple->kids.end(), is_axis) &&
         !std::is_sorted(tuple->kids.begin(), tuple->kids.end(), [](Ref a, Ref b) { return a->text < b->text; });
}

// Whether a letter usually is an unknown. |x| = 6 is an equation with two solutions, |z| = 6 gives a modulus its value.
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
      return are_capitals(node);
    case Kind::kEuler:
      return false;
    case Kind::kPow:  // \sigma^2 is a variance
      return is_symbol(node->kids[0]) && (node->kids[0]->text == "sigma" || node->kids[0]->text == "chi") &&
             node->kids[1]->kind == Kind::kNumber && node->kids[1]->number == Rational(2);
    case Kind::kFunction:
      return node->text == "abs" &&
             (are_capitals(node->kids[0]) || (is_symbol(node->kids[0]) && !is_unknown(node->kids[0])));
    case Kind::kDiv:
    case Kind::kRatio:
      return std::all_of(node->kids.begin(), node->kids.end(),
                         [](Ref kid) { return is_symbol(kid) || are_capitals(kid); });
    case Kind::kTuple:
      return std::all_of(node->kids.begin(), node->kids.end(), is_symbol) && !swaps_axes(node);
    default:
      return false;
  }
}

namespace {

// Whether a term is a name with the index of its sum, as a_i. It stands for several names, so that two are inserted.
bool is_indexed(Ref term, const std::string& index, std::set<std::string>& names) {
  if (term->kind != Kind::kSymbol || term->text == index || !has_index(term, index)) return false;
  names.insert({term->text, term->text + " and others"});
  return true;
}

// Whether an expression consists of names, with numbers in exponents only: m + n, |z - w|, \\sin A. Collects the names,
// so that the caller can refuse an equation of one unknown, such as x^2 = 4.
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
    case Kind::kSum:
    case Kind::kProduct:  // \sum_{i=1}^{10} a_i
      return has_index(node->kids[0], node->text) && node->kids[0]->kind != Kind::kSymbol
                 ? is_composed(node->kids[0], names)
                 : is_indexed(node->kids[0], node->text, names);
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

// False when two constants differ that an equals sign of the chain joins, as in x = 3 + 5 = 7.
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
  if (names(kids[0]) || (kids[exact_end]->kind == Kind::kMatrix && names_matrix(kids[0]))) claim.name = kids[0];
  if (claim.name != nullptr && exact_end == 0) {
    claim.values = {kids.back()};
    return claim;
  }
  Ref value = kids[exact_end];
  const bool composed = claim.name != nullptr && !is_name(claim.name) && value->kind != Kind::kMatrix;
  if (composed && has_symbols(value)) return {};
  if (claim.name == nullptr && exact_end == 1 && kids.size() == 2 && is_name(kids[1])) {
    claim.name = kids[1];
    value = kids[0];
  } else if (claim.name == nullptr) {
    const bool numbers = std::none_of(kids.begin(), kids.end(), [](Ref kid) { return has_symbols(kid); });
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

// Whether a symbol stands in `node`, but nowhere in the argument of a function: A in 2A, not in P(A|B).
bool is_formula_of(Ref node, Ref symbol) {
  bool found = false;
  const auto look = [&](auto& self, Ref at, bool named) -> bool {
    if (at->kind == Kind::kSymbol && at->text == symbol->text) {
      found = true;
      return !named;
    }
    const bool inside = named || at->kind == Kind::kApply;
    return std::all_of(at->kids.begin(), at->kids.end(), [&](Ref kid) { return self(self, kid, inside); });
  };
  return look(look, node, false) && found && !contains(node, Kind::kOpaque);
}

// Whether an argument stands for any number, as the x of f(x) = x^2. A capital may name an event or a point unless the
// value is a formula of it, and a vector is the operand of a product.
bool is_free_argument(Ref argument, Ref value) {
  if (!is_symbol(argument) || argument->vector || argument->text.empty()) return false;
  return !is_upper(argument->text[0]) || is_formula_of(value, argument);
}

// The letters of a name that stand for any number: x of f(x), n of a_n.
std::vector<std::string> parameters_of(Ref name) {
  std::vector<std::string> out;
  if (name->kind == Kind::kApply) {
    for (Ref kid : name->kids) out.push_back(kid->text);
  } else if (const std::string index = index_of(name); !index.empty()) {
    out.push_back(index);
  }
  return out;
}

// Whether two names belong to one sequence, as in a_n = 2n and a_k = 2k. F_x and F_y are different forces, and a value
// without the index leaves open whether the index stands for any number.
bool is_same_sequence(Ref a, Ref a_value, Ref b, Ref b_value) {
  const std::string left = index_of(a);
  const std::string right = index_of(b);
  if (left.empty() || right.empty() || a->text.substr(0, a->text.find('_')) != b->text.substr(0, b->text.find('_')))
    return false;
  return has_index(a_value, left) && has_index(b_value, right);
}

bool is_operation(Ref apply) {
  constexpr std::array<std::string_view, 6> kOperations = {"cross", "dot", "beside", "mod", "land", "lor"};
  return std::find(kOperations.begin(), kOperations.end(), apply->text) != kOperations.end();
}

}  // namespace

bool same_name(Ref a, Ref a_value, Ref b, Ref b_value) {
  if (canonical_text(a) == canonical_text(b) || is_same_sequence(a, a_value, b, b_value)) return true;
  const auto all_free = [](Ref name, Ref value) {
    return std::all_of(name->kids.begin(), name->kids.end(), [&](Ref kid) { return is_free_argument(kid, value); });
  };
  const bool functions = a->kind == Kind::kApply && b->kind == Kind::kApply;
  if (functions)
    return a->text == b->text && a->kids.size() == b->kids.size() && !is_operation(a) && all_free(a, a_value) &&
           all_free(b, b_value);
  // y = 2x and f(x) = 2x describe the same graph; f = 0 says f(x) = 0, but f = x is another equation.
  const auto is_graph = [](Ref symbol, Ref call, Ref value) {
    const bool names = symbol->kind == Kind::kSymbol && call->kind == Kind::kApply && call->kids.size() == 1 &&
                       call->kids[0]->kind == Kind::kSymbol;
    if (!names || symbol->text == "y") return names;
    return symbol->text == call->text && !is_capital(call->kids[0]) && !has_symbols(value);  // E = 3 is no E(X) = 3
  };
  return is_graph(a, b, b_value) || is_graph(b, a, a_value);
}

bool may_rename(Ref value, Ref from_name, Ref to_name) {
  const auto from = parameters_of(from_name);
  const auto to = parameters_of(to_name);
  if (from.size() != to.size()) return true;
  const auto free = symbols_of(value);
  for (size_t i = 0; i < from.size(); ++i) {
    const bool renamed_too = std::find(from.begin(), from.end(), to[i]) != from.end();  // f(x, y) as f(y, x)
    if (from[i] != to[i] && !renamed_too && (free.contains(to[i]) || has_index(value, to[i]))) return false;
  }
  return true;
}

Ref rename_argument(Ref value, Ref from_name, Ref to_name, Arena& arena) {
  const auto from = parameters_of(from_name);
  const auto to = parameters_of(to_name);
  if (from.empty() || from.size() != to.size()) return value;
  if (from_name->kind == Kind::kSymbol)
    return with_index(value, from[0], to[0], arena.make(Kind::kSymbol, {}, to[0]), arena);
  if (value->kind == Kind::kSymbol) {
    for (size_t i = 0; i < from.size(); ++i) {
      if (value->text == from[i]) return to_name->kids[i];
    }
    return value;
  }
  if (value->kids.empty()) return value;
  Node copy = *value;
  for (Ref& kid : copy.kids) kid = rename_argument(kid, from_name, to_name, arena);
  return arena.keep(std::move(copy));
}

}  // namespace grpo::verifier
