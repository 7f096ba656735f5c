#include "verifier/quantity.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "verifier/units.h"

namespace grpo::verifier {
namespace {

struct Quantity {
  Ref value = nullptr;
  std::optional<Unit> unit;
  bool percent = false;
};

Quantity read_product(Ref node, Arena& arena);

Quantity read(Ref node, Arena& arena) {
  if (node->kind == Kind::kPercent) return {node->kids[0], std::nullopt, true};
  if (node->kind == Kind::kUnit) return {node->kids[0], parse_unit(node->text), false};
  if (node->kind == Kind::kNeg) {  // -5 m, -\$3, -20\%
    Quantity inner = read(node->kids[0], arena);
    inner.value = arena.make(Kind::kNeg, {inner.value});
    return inner;
  }
  const bool product = node->kind == Kind::kMul || node->kind == Kind::kDiv;
  return product ? read_product(node, arena) : Quantity{node, std::nullopt, false};
}

// 3 m * 4 m, 100 km / 2 h: the product of the values with the product of the units.
Quantity read_product(Ref node, Arena& arena) {
  std::vector<Ref> values;
  std::optional<Unit> unit;
  for (size_t i = 0; i < node->kids.size(); ++i) {
    const Quantity factor = read(node->kids[i], arena);
    if (factor.percent || (!factor.unit && contains(factor.value, Kind::kUnit))) return {node, std::nullopt, false};
    values.push_back(factor.value);
    const int power = node->kind == Kind::kDiv && i > 0 ? -1 : 1;
    if (factor.unit) unit = multiply(unit.value_or(Unit{}), *factor.unit, power);
  }
  if (!unit) return {node, std::nullopt, false};
  const bool plain = unit->dimensions.empty();  // 6 m / 2 m
  const Ref value = arena.make(node->kind, std::move(values));
  if (!plain) return {value, unit, false};
  return {arena.make(Kind::kMul, {value, arena.number(unit->factor)}), std::nullopt, false};
}

// Which letters behind a number may be units, although the parser read them as variables: 6 m, 8.5 m/s, 6 J.
enum class Letters {
  kAny,     // all letters that name a unit: the other side has a unit, too
  kLikely,  // letters that are units far more often than unknowns (m, J, but not h, t): the other side is a bare number
  kSpaced,  // those of kLikely behind a space, for a gold answer: "6 s" is a time, "6m" a product
};
bool is_unit_letter(Ref symbol, Letters letters) {
  const std::string& name = symbol->text;
  if (letters == Letters::kAny) return find_unit(name).has_value();
  const bool likely = name.size() == 1 && std::string_view("mgsLJWNVAK").find(name[0]) != std::string_view::npos;
  if (name.size() > 1) return find_unit(name).has_value();  // kg of \frac{J}{kg\cdot K}
  return likely && (letters == Letters::kLikely || symbol->spaced);
}

// Splits a product of numbers and unit letters, "8.5 m/s^2", "4.7 \mu m", into `numbers` and `unit`. `sign` is -1 in a
// denominator; `micro` is true between \mu and its unit. False when anything else is in the product.
bool split_units(Ref node, int sign, Letters letters, std::vector<Ref>& numbers, Unit& unit, bool& micro,
                 Arena& arena) {
  switch (node->kind) {
    case Kind::kSymbol: {
      if (node->text == "mu" && sign > 0 && !micro) return micro = true;
      const auto found = is_unit_letter(node, letters) ? find_unit((micro ? "u" : "") + node->text) : std::nullopt;
      micro = false;
      if (found) unit = multiply(unit, *found, sign);
      return found.has_value();
    }
    case Kind::kMul:
      return std::all_of(node->kids.begin(), node->kids.end(),
                         [&](Ref kid) { return split_units(kid, sign, letters, numbers, unit, micro, arena); });
    case Kind::kDiv:
      return split_units(node->kids[0], sign, letters, numbers, unit, micro, arena) &&
             split_units(node->kids[1], -sign, letters, numbers, unit, micro, arena);
    case Kind::kPow: {
      const bool inverse = node->kids[1]->kind == Kind::kNeg;
      const Ref exponent = inverse ? node->kids[1]->kids[0] : node->kids[1];
      if (node->kids[0]->kind == Kind::kSymbol && is_unit_letter(node->kids[0], letters) &&
          exponent->kind == Kind::kNumber && exponent->number.fits_int64() && exponent->number < Rational(5)) {
        const auto power = static_cast<int>(exponent->number.to_int64());
        unit = multiply(unit, *find_unit(node->kids[0]->text), inverse ? -sign * power : sign * power);
        return true;
      }
      break;
    }
    default:
      break;
  }
  if (node->kind >= Kind::kList || contains(node, Kind::kSymbol) || contains(node, Kind::kApply) ||
      contains(node, Kind::kOpaque) || contains(node, Kind::kUnit))
    return false;
  numbers.push_back(sign > 0 ? node : arena.make(Kind::kDiv, {arena.number(Rational(1)), node}));
  return true;
}

// The quantity that `plain` is if its variables are unit letters; `plain` itself when they are not.
Quantity reread(const Quantity& plain, Letters letters, Arena& arena) {
  if (plain.value->kind != Kind::kMul && plain.value->kind != Kind::kDiv) return plain;
  std::vector<Ref> numbers;
  Unit unit;
  bool micro = false;
  if (!split_units(plain.value, 1, letters, numbers, unit, micro, arena) || micro || numbers.empty() ||
      unit.dimensions.empty())
    return plain;
  return {numbers.size() == 1 ? numbers[0] : arena.make(Kind::kMul, numbers), unit, false};
}

Ref in_base_units(const Quantity& quantity, Arena& arena) {
  std::vector<Ref> factors{quantity.value, arena.number(quantity.unit->factor)};
  for (int i = 0; i < quantity.unit->pi_power; ++i) factors.push_back(arena.make(Kind::kPi));
  return arena.make(Kind::kMul, std::move(factors));
}

// 50 may mean 50 %, but 3/4 and 0.75 are no percentages without their sign.
bool may_be_percentage(Ref plain, Arena& arena) {
  const Ref size = plain->kind == Kind::kNeg ? plain->kids[0] : plain;
  return compare_reals(size, arena.number(Rational(1)), arena).value_or(-1) >= 0;
}

// Whether `unnamed` is the power of a length without a name that `named` gives a name: "square units" for cm^2.
bool is_unnamed_measure(const Unit& unnamed, const Unit& named) {
  if (unnamed.dimensions.size() != 1 || named.dimensions.size() != 1 || unnamed.dimensions.begin()->first != "unit")
    return false;
  const auto& [name, power] = *named.dimensions.begin();
  const int wanted = unnamed.dimensions.begin()->second;
  return power == wanted && (name == "m" || wanted == 1);
}

bool is_angle(const Unit& unit) { return unit.dimensions.size() == 1 && unit.dimensions.begin()->first == "rad"; }

}  // namespace

bool is_compound_quantity(Ref list) {
  if (list->text != "and" || list->kids.size() < 2) return false;
  std::optional<Unit> last;
  for (Ref kid : list->kids) {
    if (kid->kind != Kind::kUnit || kid->kids[0]->kind != Kind::kNumber) return false;
    const auto unit = parse_unit(kid->text);
    if (!unit || unit->dimensions.size() != 1) return false;
    const bool part = !last || (unit->dimensions == last->dimensions && unit->factor < last->factor &&
                                unit->pi_power == last->pi_power && kid->kids[0]->number * unit->factor < last->factor);
    if (!part) return false;
    last = unit;
  }
  return true;
}

bool same_quantities(Ref gold, Ref answer, const ScalarPolicy& policy, Arena& arena) {
  Quantity left = read(gold, arena);
  Quantity right = read(answer, arena);
  const auto equal = [&](Ref a, Ref b) { return equal_scalars(a, b, policy, arena); };
  // Letters may be units only when the other side is a number or a quantity; beside other symbols they are unknowns.
  if (!right.unit && !right.percent && is_constant(left.value))
    right = reread(right, left.unit ? Letters::kAny : Letters::kLikely, arena);
  if (!left.unit && !left.percent && is_constant(right.value))
    left = reread(left, right.unit ? Letters::kAny : Letters::kSpaced, arena);
  if (left.unit && right.unit) {
    if (is_unnamed_measure(*left.unit, *right.unit) || is_unnamed_measure(*right.unit, *left.unit))
      return equal(left.value, right.value);
    if (left.unit->dimensions != right.unit->dimensions) return false;
    const bool same_unit = left.unit->factor == right.unit->factor && left.unit->pi_power == right.unit->pi_power;
    return same_unit ? equal(left.value, right.value) : equal(in_base_units(left, arena), in_base_units(right, arena));
  }
  const bool compound =
      (!left.unit && contains(left.value, Kind::kUnit)) || (!right.unit && contains(right.value, Kind::kUnit));
  if (compound) return equal(gold, answer);  // 5 ft 6 in
  if (left.percent && right.percent) return equal(left.value, right.value);
  if ((left.unit && right.percent) || (right.unit && left.percent)) return false;
  const bool percent = left.percent || right.percent;
  const bool pi_degrees = (left.unit && is_angle(*left.unit) && contains(right.value, Kind::kPi)) ||
                          (right.unit && is_angle(*right.unit) && contains(left.value, Kind::kPi));
  const bool may_drop = percent ? may_be_percentage(left.percent ? right.value : left.value, arena) : !pi_degrees;
  if (may_drop && equal(left.value, right.value)) return true;
  if (percent) return equal(gold, answer);
  // 30 degrees = pi/6, since the degree sign is the factor pi/180.
  if (left.unit && is_angle(*left.unit)) return equal(in_base_units(left, arena), right.value);
  if (right.unit && is_angle(*right.unit)) return equal(left.value, in_base_units(right, arena));
  return false;
}

}  // namespace grpo::verifier
