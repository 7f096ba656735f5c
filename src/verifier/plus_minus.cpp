#include "verifier/plus_minus.h"

#include <vector>

namespace grpo::verifier {
namespace {

constexpr int kMaxSigns = 5;

void count_signs(Ref node, int& signs, bool& linked) {
  if (node->kind == Kind::kPlusMinus) {
    ++signs;
    linked = linked || node->text == "-";
  }
  for (Ref kid : node->kids) count_signs(kid, signs, linked);
}

// Bit k of `choice` is 1 when the k-th \pm means minus; with `linked`, bit 0 decides for all of them.
Ref with_signs(Ref node, unsigned choice, bool linked, int& index, Arena& arena) {
  if (node->kids.empty()) return node;
  bool minus = false;
  if (node->kind == Kind::kPlusMinus) {
    minus = ((choice >> (linked ? 0 : index++)) & 1u) != 0;
    if (node->text == "-") minus = !minus;
  }
  Node copy = *node;
  for (Ref& kid : copy.kids) kid = with_signs(kid, choice, linked, index, arena);
  if (node->kind != Kind::kPlusMinus) return arena.keep(std::move(copy));
  const Ref last = minus ? arena.make(Kind::kNeg, {copy.kids.back()}) : copy.kids.back();
  return copy.kids.size() == 1 ? last : arena.make(Kind::kAdd, {copy.kids[0], last});
}

std::vector<Ref> variants(Ref node, Arena& arena) {
  int signs = 0;
  bool linked = false;
  count_signs(node, signs, linked);
  if (signs == 0) return {node};
  if (signs > kMaxSigns) throw OverBudget("too many plus-minus signs");
  std::vector<Ref> out;
  for (unsigned choice = 0; choice < (linked ? 2u : 1u << signs); ++choice) {
    int index = 0;
    out.push_back(with_signs(node, choice, linked, index, arena));
  }
  return out;
}

}  // namespace

Ref expand_plus_minus(Ref node, Arena& arena) {
  if (!contains(node, Kind::kPlusMinus)) return node;
  const bool collection = node->kind == Kind::kList || node->kind == Kind::kSet;
  Node out;
  out.kind = collection ? node->kind : Kind::kList;
  out.text = collection ? node->text : "pm";
  for (Ref kid : collection ? node->kids : std::vector<Ref>{node}) {
    for (Ref variant : variants(kid, arena)) out.kids.push_back(variant);
  }
  if (out.kids.size() > static_cast<size_t>(kMaxListLength)) throw OverBudget("the list is too long");
  return arena.keep(std::move(out));
}

}  // namespace grpo::verifier
