#include "reward/quantity.h"

#include <optional>

#include "reward/units.h"

namespace grpo::reward {
namespace {

struct Quantity {
  Ref value = nullptr;
  std::optional<Unit> unit;
  bool percent = false;
};

Quantity read(Ref node, Arena& arena) {
  if (node->kind == Kind::kPercent) return {node->kids[0], std::nullopt, true};
  if (node->kind == Kind::kUnit) return {node->kids[0], parse_unit(node->text), false};
  if (node->kind == Kind::kNeg) {  // -5 m, -\$3, -20\%
    Quantity inner = read(node->kids[0], arena);
    inner.value = arena.make(Kind::kNeg, {inner.value});
    return inner;
  }
  return {node, std::nullopt, false};
}

// The last factor of a product as a unit: 5 m where m was read as a variable.
Quantity reread(const Quantity& plain, Arena& arena) {
  if (plain.value->kind != Kind::kMul) return plain;
  const Ref last = plain.value->kids.back();
  if (last->kind != Kind::kSymbol) return plain;
  const auto unit = find_unit(last->text);
  if (!unit) return plain;
  std::vector<Ref> factors(plain.value->kids.begin(), plain.value->kids.end() - 1);
  for (Ref factor : factors) {
    if (contains(factor, Kind::kSymbol)) return plain;
  }
  return {factors.size() == 1 ? factors[0] : arena.make(Kind::kMul, factors), unit, false};
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

bool is_angle(const Unit& unit) { return unit.dimensions.size() == 1 && unit.dimensions.begin()->first == "rad"; }

}  // namespace

bool same_quantities(Ref gold, Ref answer, const ScalarPolicy& policy, Arena& arena) {
  Quantity left = read(gold, arena);
  Quantity right = read(answer, arena);
  const auto equal = [&](Ref a, Ref b) { return equal_scalars(a, b, policy, arena); };
  if (left.unit && !right.unit && !right.percent) right = reread(right, arena);
  if (right.unit && !left.unit && !left.percent) left = reread(left, arena);
  if (left.unit && right.unit) {
    if (left.unit->dimensions != right.unit->dimensions) return false;
    const bool same_unit = left.unit->factor == right.unit->factor && left.unit->pi_power == right.unit->pi_power;
    return same_unit ? equal(left.value, right.value) : equal(in_base_units(left, arena), in_base_units(right, arena));
  }
  const bool compound = (!left.unit && contains(left.value, Kind::kUnit)) || (!right.unit && contains(right.value, Kind::kUnit));
  if (compound) return equal(gold, answer);  // 5 ft 6 in
  if (left.percent && right.percent) return equal(left.value, right.value);
  if ((left.unit && right.percent) || (right.unit && left.percent)) return false;
  const bool percent = left.percent || right.percent;
  const bool pi_degrees = (left.unit && is_angle(*left.unit) && contains(right.value, Kind::kPi)) ||
                          (right.unit && is_angle(*right.unit) && contains(left.value, Kind::kPi));
  const bool may_drop = percent ? may_be_percentage(left.percent ? right.value : left.value, arena) : !pi_degrees;
  if (may_drop && equal(left.value, right.value)) return true;
  if (percent) return equal(gold, answer);
  // 30 degrees = pi/6: the degree sign is a factor, and only then a unit that may be left out.
  if (left.unit && is_angle(*left.unit)) return equal(in_base_units(left, arena), right.value);
  if (right.unit && is_angle(*right.unit)) return equal(left.value, in_base_units(right, arena));
  return !left.unit && !right.unit && equal(gold, answer);
}

}  // namespace grpo::reward
