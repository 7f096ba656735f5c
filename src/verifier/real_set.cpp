#include "verifier/real_set.h"

#include <algorithm>
#include <vector>

#include "verifier/polynomial.h"
#include "verifier/scalar.h"

namespace grpo::verifier {

Relation mirrored(Relation relation) {
  switch (relation) {
    case Relation::kLess:
      return Relation::kGreater;
    case Relation::kLessEqual:
      return Relation::kGreaterEqual;
    case Relation::kGreater:
      return Relation::kLess;
    case Relation::kGreaterEqual:
      return Relation::kLessEqual;
    default:
      return relation;
  }
}

namespace {

struct NoRealSet {};

constexpr size_t kMaxEndpoints = 80;

bool holds(Relation relation, int sign) {
  switch (relation) {
    case Relation::kLess:
      return sign < 0;
    case Relation::kLessEqual:
      return sign <= 0;
    case Relation::kGreater:
      return sign > 0;
    case Relation::kGreaterEqual:
      return sign >= 0;
    case Relation::kEqual:
      return sign == 0;
    case Relation::kNotEqual:
      return sign != 0;
    default:
      throw NoRealSet{};
  }
}

// An opaque part, which stands for something that is only compared by its text, may be a bound.
bool is_bound(Ref node) { return !contains(node, Kind::kSymbol) && !contains(node, Kind::kApply); }

// x `relation` value, or |x| `relation` value.
struct Bound {
  std::string variable;
  Relation relation;
  Ref value;
  bool absolute = false;
};

class RealSets {
 public:
  explicit RealSets(Arena& arena) : arena_(arena) {}

  // First pass: all endpoints, in order.
  void collect(Ref node, std::string& variable) {
    switch (node->kind) {
      case Kind::kTuple:
        if (node->kids.size() != 2) throw NoRealSet{};
        add_endpoint(node->kids[0]);
        add_endpoint(node->kids[1]);
        if (compare_reals(node->kids[0], node->kids[1], arena_).value_or(1) >= 0) throw NoRealSet{};
        return;
      case Kind::kSet:
        for (Ref kid : node->kids) {
          if (infinity_sign(kid) != 0) throw NoRealSet{};
          add_endpoint(kid);
        }
        return;
      case Kind::kNamedSet:
        if (node->text != "R") throw NoRealSet{};
        return;
      case Kind::kUnion:
      case Kind::kIntersection:
      case Kind::kDifference:
        for (Ref kid : node->kids) collect(kid, variable);
        return;
      case Kind::kRelation:
        return collect_relation(node, variable);
      default:
        throw NoRealSet{};
    }
  }

  // Second pass: which pieces belong to the set. Piece 2i is the gap before endpoint i, piece 2i + 1 the endpoint
  // itself.
  std::vector<bool> pieces(Ref node) {
    const size_t count = 2 * endpoints_.size() + 1;
    std::vector<bool> out(count, false);
    switch (node->kind) {
      case Kind::kTuple: {
        const auto low = position(node->kids[0]);
        const auto high = position(node->kids[1]);
        for (size_t i = 0; i < count; ++i) {
          const auto at = static_cast<long>(i);
          const bool inside = at > low && at < high;
          out[i] = inside || (at == low && node->text[0] == '[') || (at == high && node->text[1] == ']');
        }
        return out;
      }
      case Kind::kSet:
        for (Ref kid : node->kids) out[static_cast<size_t>(position(kid))] = true;
        return out;
      case Kind::kNamedSet:
        return std::vector<bool>(count, true);
      case Kind::kRelation:
        return relation_pieces(node);
      default:
        break;
    }
    out = pieces(node->kids[0]);
    for (size_t k = 1; k < node->kids.size(); ++k) {
      const auto other = pieces(node->kids[k]);
      for (size_t i = 0; i < count; ++i) {
        out[i] = node->kind == Kind::kUnion          ? out[i] || other[i]
                 : node->kind == Kind::kIntersection ? out[i] && other[i]
                                                     : out[i] && !other[i];
      }
    }
    return out;
  }

 private:
  void add_endpoint(Ref value) {
    if (infinity_sign(value) != 0) return;
    const auto at =
        std::lower_bound(endpoints_.begin(), endpoints_.end(), value, [&](Ref a, Ref b) { return order(a, b) < 0; });
    if (at != endpoints_.end() && order(*at, value) == 0) return;
    if (order(value, value) != 0) throw NoRealSet{};
    endpoints_.insert(at, value);
    if (endpoints_.size() > kMaxEndpoints) throw OverBudget("a set has too many endpoints");
  }

  int order(Ref a, Ref b) {
    const auto sign = compare_reals(a, b, arena_);
    if (!sign) throw NoRealSet{};
    return *sign;
  }

  // The number of the piece that an endpoint is; infinities lie outside all pieces.
  long position(Ref value) {
    const int infinite = infinity_sign(value);
    if (infinite != 0) return infinite < 0 ? -1 : static_cast<long>(2 * endpoints_.size() + 1);
    const auto at =
        std::lower_bound(endpoints_.begin(), endpoints_.end(), value, [&](Ref a, Ref b) { return order(a, b) < 0; });
    return 2 * (at - endpoints_.begin()) + 1;
  }

  Bound bound(Ref left, Relation relation, Ref right) {
    const auto is_absolute = [](Ref node) {
      return node->kind == Kind::kFunction && node->text == "abs" && node->kids[0]->kind == Kind::kSymbol;
    };
    if (relation == Relation::kEqual && (is_absolute(left) || is_absolute(right))) throw NoRealSet{};
    if (is_absolute(left) && is_bound(right)) return {left->kids[0]->text, relation, right, true};
    if (is_absolute(right) && is_bound(left)) return {right->kids[0]->text, mirrored(relation), left, true};
    const auto is_name = [](Ref node) { return node->kind == Kind::kSymbol || node->kind == Kind::kApply; };
    if (is_name(left) && is_bound(right)) return {canonical_text(left), relation, right};
    if (is_name(right) && is_bound(left)) return {canonical_text(right), mirrored(relation), left};
    throw NoRealSet{};
  }

  static bool is_membership(Ref node) { return node->relations.size() == 1 && node->relations[0] == Relation::kIn; }

  void collect_relation(Ref node, std::string& variable) {
    if (is_membership(node)) {
      if (node->kids[0]->kind != Kind::kSymbol) throw NoRealSet{};
      merge(variable, node->kids[0]->text);
      return collect(node->kids[1], variable);
    }
    for (size_t i = 0; i < node->relations.size(); ++i) {
      const Bound here = bound(node->kids[i], node->relations[i], node->kids[i + 1]);
      holds(here.relation, 0);  // refuses relations that bound nothing
      merge(variable, here.variable);
      add_endpoint(here.value);
      if (!here.absolute) continue;
      if (order(here.value, arena_.number(Rational(0))) < 0) throw NoRealSet{};
      add_endpoint(negative(here.value));
    }
  }

  Ref negative(Ref value) { return arena_.make(Kind::kNeg, {value}); }

  static void merge(std::string& variable, const std::string& name) {
    if (!variable.empty() && variable != name) throw NoRealSet{};
    variable = name;
  }

  std::vector<bool> relation_pieces(Ref node) {
    if (is_membership(node)) return pieces(node->kids[1]);
    std::vector<bool> out(2 * endpoints_.size() + 1, true);
    for (size_t i = 0; i < node->relations.size(); ++i) {
      const Bound here = bound(node->kids[i], node->relations[i], node->kids[i + 1]);
      const long at = position(here.value);
      const long low = here.absolute ? position(negative(here.value)) : 0;
      for (size_t piece = 0; piece < out.size(); ++piece) {
        const long i = static_cast<long>(piece);
        const int outside = i > at || (here.absolute && i < low) ? 1 : -1;
        out[piece] = out[piece] && holds(here.relation, i == at || (here.absolute && i == low) ? 0 : outside);
      }
    }
    return out;
  }

  Arena& arena_;
  std::vector<Ref> endpoints_;
};

}  // namespace

std::optional<bool> same_real_set(Ref a, Ref b, Arena& arena) {
  try {
    RealSets sets(arena);
    std::string left_variable;
    std::string right_variable;
    sets.collect(a, left_variable);
    sets.collect(b, right_variable);
    if (!left_variable.empty() && !right_variable.empty() && left_variable != right_variable) return false;
    return sets.pieces(a) == sets.pieces(b);
  } catch (const NoRealSet&) {
    return std::nullopt;
  }
}

bool is_empty_real_set(Ref set, Arena& arena) {
  try {
    RealSets sets(arena);
    std::string variable;
    sets.collect(set, variable);
    const auto pieces = sets.pieces(set);
    return std::find(pieces.begin(), pieces.end(), true) == pieces.end();
  } catch (const NoRealSet&) {
    return false;
  }
}

}  // namespace grpo::verifier
