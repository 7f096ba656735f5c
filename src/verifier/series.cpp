#include "verifier/series.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "verifier/exact.h"
#include "verifier/index.h"

namespace grpo::verifier {
namespace {

// Values at which both sides are compared: not the first eight, at all of which a polynomial may vanish.
constexpr std::array<int64_t, 8> kIntegers = {1, 2, 3, 4, 5, 7, 10, 12};
// Farther values, at which only exact ones are.
constexpr std::array<int64_t, 3> kFarther = {9, 10, 13};
constexpr int64_t kFarthest = 101;  // where no sum stands in another one

// Collects the symbols in the bounds of series and under double factorials, which have to be integers.
void collect_integers(Ref node, std::set<std::string>& names) {
  if (is_series(node)) {
    collect_symbols(node->kids[1], names);
    collect_symbols(node->kids[2], names);
  }
  if (node->kind == Kind::kFactorial && node->text == "!!") collect_symbols(node->kids[0], names);
  for (Ref kid : node->kids) collect_integers(kid, names);
}

Ref substituted(Ref node, const std::map<std::string, Rational>& values, Arena& arena) {
  if (node->kind == Kind::kSymbol) {
    const auto found = values.find(node->text);
    if (found != values.end()) return arena.number(found->second);
    Ref out = node;  // a_n
    for (const auto& [name, value] : values) {
      if (has_index(out, name)) out = with_index(out, name, value.to_string(), arena.number(value), arena);
    }
    return out;
  }
  if (node->kids.empty()) return node;
  Node copy = *node;
  auto inner = values;
  if (is_series(node)) inner.erase(node->text);  // in its terms, the letter is the index of the series
  for (size_t i = 0; i < copy.kids.size(); ++i)
    copy.kids[i] = substituted(copy.kids[i], is_series(node) && i == 0 ? inner : values, arena);
  return arena.keep(std::move(copy));
}

bool is_nested(Ref node) {
  const bool here = is_series(node) && (contains(node->kids[0], Kind::kSum) || contains(node->kids[0], Kind::kProduct));
  return here || std::any_of(node->kids.begin(), node->kids.end(), is_nested);
}

// Whether both sides have exact values that differ. The distance between the symbols is another one each time.
bool differ_farther(Ref a, Ref b, const std::set<std::string>& names, Budget& budget) {
  std::vector<int64_t> integers(kFarther.begin(), kFarther.end());
  if (!is_nested(a) && !is_nested(b)) integers.push_back(kFarthest);
  return std::any_of(integers.begin(), integers.end(), [&](int64_t n) {
    std::map<std::string, Rational> values;
    int64_t offset = 0;
    for (const auto& name : names) values[name] = Rational(n + (n % 5) * offset++);
    try {
      const auto left = exact_value_at(a, values, budget);
      const auto right = left ? exact_value_at(b, values, budget) : std::nullopt;
      return right && !(*left == *right);
    } catch (const Undefined&) {  // a pole of one side
      return false;
    }
  });
}

}  // namespace

bool same_infinite_series(Ref a, Ref b, const ScalarPolicy& policy, Arena& arena) {
  if (!is_infinite_series(a) || !is_infinite_series(b) || a->kind != b->kind) return false;
  for (const size_t bound : {size_t{1}, size_t{2}}) {
    if (!equal_scalars(a->kids[bound], b->kids[bound], policy, arena)) return false;
  }
  const std::string name = "#";
  const Ref index = arena.make(Kind::kSymbol, {}, name);
  const auto term = [&](Ref series) { return with_index(series->kids[0], series->text, name, index, arena); };
  return equal_scalars(term(a), term(b), policy, arena);
}

std::optional<bool> equal_at_integers(Ref a, Ref b, const ScalarPolicy& policy, Arena& arena) {
  std::set<std::string> names;
  collect_integers(a, names);
  collect_integers(b, names);
  if (names.empty()) return std::nullopt;
  for (const int64_t n : kIntegers) {
    std::map<std::string, Rational> values;
    int64_t offset = 0;
    for (const auto& name : names) values[name] = Rational(n + (1 + n % 3) * offset++);
    if (!equal_scalars(substituted(a, values, arena), substituted(b, values, arena), policy, arena)) return false;
  }
  return !differ_farther(a, b, names, arena.budget());
}

}  // namespace grpo::verifier
