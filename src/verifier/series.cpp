#include "verifier/series.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace grpo::verifier {
namespace {

constexpr int64_t kIntegers = 8;  // values at which both sides are compared

bool is_series(Ref node) { return node->kind == Kind::kSum || node->kind == Kind::kProduct; }

void collect_symbols(Ref node, std::set<std::string>& names) {
  if (node->kind == Kind::kSymbol) names.insert(node->text);
  for (Ref kid : node->kids) collect_symbols(kid, names);
}

// Symbols in the bounds of series and under double factorials.
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
    return found == values.end() ? node : arena.number(found->second);
  }
  if (node->kids.empty()) return node;
  Node copy = *node;
  auto inner = values;
  if (is_series(node)) inner.erase(node->text);  // its own index
  for (size_t i = 0; i < copy.kids.size(); ++i)
    copy.kids[i] = substituted(copy.kids[i], is_series(node) && i == 0 ? inner : values, arena);
  return arena.keep(std::move(copy));
}

}  // namespace

std::optional<bool> equal_at_integers(Ref a, Ref b, const ScalarPolicy& policy, Arena& arena) {
  std::set<std::string> names;
  collect_integers(a, names);
  collect_integers(b, names);
  if (names.empty()) return std::nullopt;
  for (int64_t n = 1; n <= kIntegers; ++n) {
    std::map<std::string, Rational> values;
    int64_t offset = 0;
    for (const auto& name : names) values[name] = Rational(n + 2 * offset++);
    if (!equal_scalars(substituted(a, values, arena), substituted(b, values, arena), policy, arena)) return false;
  }
  return true;
}

}  // namespace grpo::verifier
