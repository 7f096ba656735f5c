#include "verifier/compare.h"

#include <algorithm>
#include <map>
#include <set>

#include "verifier/claim.h"
#include "verifier/exact.h"
#include "verifier/matrix.h"
#include "verifier/plus_minus.h"
#include "verifier/polynomial.h"
#include "verifier/quantity.h"
#include "verifier/real_set.h"
#include "verifier/units.h"

namespace grpo::verifier {
namespace {

using Refs = std::vector<Ref>;

class Comparison {
 public:
  Comparison(const ScalarPolicy& policy, Arena& arena) : policy_(policy), arena_(arena) {}

  bool same(Ref gold, Ref answer) {
    arena_.budget().spend(2);
    gold = prepared(gold);
    answer = prepared(answer);
    if (const auto named = named_collection(gold, answer)) return *named;
    if (const auto set = set_and_list(gold, answer)) return *set;
    if (gold->kind == Kind::kList || answer->kind == Kind::kList) return same_lists(gold, answer);
    if (gold->kind == Kind::kRelation || answer->kind == Kind::kRelation) return same_relations(gold, answer);
    if (gold->kind == Kind::kTuple && is_named_point(answer)) answer = arena_.make(Kind::kTuple, answer->kids, "()");
    if (gold->kind == Kind::kPiecewise || answer->kind == Kind::kPiecewise) return same_pieces(gold, answer);
    if (describes_set(gold) || describes_set(answer)) return same_sets(gold, answer);
    if (gold->kind == Kind::kMatrix || answer->kind == Kind::kMatrix) return same_matrices(gold, answer);
    if (gold->kind == Kind::kSet || answer->kind == Kind::kSet) return same_finite_sets(gold, answer);
    if (gold->kind == Kind::kTuple || answer->kind == Kind::kTuple) return same_tuples(gold, answer);
    if (gold->kind == Kind::kRatio || answer->kind == Kind::kRatio) return same_ratios(gold, answer);
    if (is_residue(gold) && is_residue(answer)) return same_residues(gold, answer);
    // 98 + 77 + 0x and 49x^2 + 14x(19-7x) + (19-7x)^2 have still to be simplified.
    if (answer->kind == Kind::kAdd && has_names(answer) && !has_names(gold)) return false;
    return same_quantities(gold, answer, policy_, arena_);
  }

 private:
  static bool has_names(Ref node) {
    std::set<std::string> names;
    collect_symbols(node, names);
    return !names.empty();
  }

  // f(x) \equiv 0 says that f(x) = 0 for all x, while between numbers \equiv means equal remainders.
  Ref without_identity(Ref node) {
    if (node->kind != Kind::kRelation || node->relations != std::vector<Relation>{Relation::kCongruent}) return node;
    const Ref name = node->kids[0];
    const bool function =
        name->kind == Kind::kApply || (name->kind == Kind::kSymbol && name->text.size() == 1 &&
                                       std::string_view("fghFGH").find(name->text) != std::string_view::npos);
    if (!function || name->text == "mod" || contains(node->kids[1], Kind::kApply)) return node;
    Node copy = *node;
    copy.relations = {Relation::kEqual};
    return arena_.keep(std::move(copy));
  }

  // The node with each \pm written out, matrices multiplied out, \equiv of functions as = and "2 or 2" as 2.
  Ref prepared(Ref node) {
    node = without_identity(evaluate_matrices(expand_plus_minus(node, arena_), arena_));
    if (node->kind != Kind::kList) return node;
    if (is_compound_quantity(node)) return arena_.make(Kind::kAdd, node->kids);
    if (node->text != "or" && node->text != "pm") return node;  // "2, 2" are two values, "2 or 2" is one
    std::set<std::string> texts;
    for (Ref kid : node->kids) texts.insert(canonical_text(kid));
    return texts.size() == 1 ? prepared(node->kids[0]) : node;
  }

  // Compares "n \in \{3, 5\}" or "S = \{1, 2\}" with a list or set, since the name says nothing. nullopt for all else,
  // also for an interval behind \in.
  std::optional<bool> named_collection(Ref gold, Ref answer) {
    if ((gold->kind == Kind::kRelation) == (answer->kind == Kind::kRelation)) return std::nullopt;
    const Ref relation = gold->kind == Kind::kRelation ? gold : answer;
    const Ref other = gold->kind == Kind::kRelation ? answer : gold;
    if (other->kind != Kind::kList && other->kind != Kind::kSet) return std::nullopt;
    const Claim claim = read_claim(relation, policy_, arena_);
    if (claim.name == nullptr || claim.values.size() != 1) return std::nullopt;
    const Ref value = claim.values[0];
    if (claim.name->kind == Kind::kTuple && value->kind == Kind::kTuple &&
        claim.name->kids.size() == value->kids.size()) {
      const Ref list = one_by_one(claim.name, value);  // (x, y) = (1, 2) as x = 1, y = 2
      return relation == gold ? same(list, other) : same(other, list);
    }
    if (value->kind != Kind::kSet && value->kind != Kind::kList) return std::nullopt;
    return relation == gold ? same(value, other) : same(other, value);
  }

  Ref one_by_one(Ref names, Ref values) {
    Refs items;
    for (size_t i = 0; i < names->kids.size(); ++i) {
      Node item;
      item.kind = Kind::kRelation;
      item.kids = {names->kids[i], values->kids[i]};
      item.relations = {Relation::kEqual};
      items.push_back(arena_.keep(std::move(item)));
    }
    return arena_.make(Kind::kList, std::move(items), ",");
  }

  static bool is_condition(Ref node) { return node->kind == Kind::kRelation || describes_set(node); }
  static bool is_order(Ref node) {
    return node->kind == Kind::kRelation && std::any_of(node->relations.begin(), node->relations.end(), [](Relation r) {
             return r != Relation::kEqual && r != Relation::kApprox && r != Relation::kCongruent;
           });
  }

  // Compares a list of conditions on one variable, or of intervals, with a set of reals. A comma between conditions
  // means "and" unless no number meets them all: in "x < -1, x > 3" it means "or".
  std::optional<bool> set_and_list(Ref gold, Ref answer) {
    if ((gold->kind == Kind::kList) == (answer->kind == Kind::kList)) return std::nullopt;
    const Ref list = gold->kind == Kind::kList ? gold : answer;
    const Ref other = gold->kind == Kind::kList ? answer : gold;
    const bool interval = other->kind == Kind::kTuple && other->kids.size() == 2;
    if (!describes_set(other) && !interval && !is_order(other)) return std::nullopt;
    const bool conditions = std::all_of(list->kids.begin(), list->kids.end(), is_condition) &&
                            std::any_of(list->kids.begin(), list->kids.end(), is_order);
    const bool intervals = describes_set(other) && std::all_of(list->kids.begin(), list->kids.end(), [](Ref kid) {
                             return kid->kind == Kind::kTuple || kid->kind == Kind::kSet;
                           });
    if (!conditions && !intervals) return std::nullopt;
    if (list->text != "or" && list->text != "and" && list->text != ",") return std::nullopt;
    const bool alternatives =
        list->text == "or" ||
        ((list->text == "," || intervals) && is_empty_real_set(arena_.make(Kind::kIntersection, list->kids), arena_));
    const Ref set = arena_.make(alternatives ? Kind::kUnion : Kind::kIntersection, list->kids);
    return same_real_set(list == gold ? set : other, list == gold ? other : set, arena_);
  }

  // Whether two pieces hold at the same numbers. One that holds "otherwise" does so where no other condition does.
  bool same_piece(Ref gold, size_t k, Ref answer, size_t i) {
    const auto is_rest = [](Ref condition) {
      return condition->kind == Kind::kSymbol && condition->text == "otherwise";
    };
    if (is_rest(gold->kids[k]) == is_rest(answer->kids[i])) return same(gold->kids[k], answer->kids[i]);
    const auto condition = [&](Ref pieces, size_t at) {
      if (!is_rest(pieces->kids[at])) return pieces->kids[at];
      Refs others;
      for (size_t other = 1; other < pieces->kids.size(); other += 2) {
        if (other != at) others.push_back(pieces->kids[other]);
      }
      const Ref reals = arena_.make(Kind::kNamedSet, {}, "R");
      return arena_.make(Kind::kDifference,
                         {reals, others.size() == 1 ? others[0] : arena_.make(Kind::kUnion, std::move(others))});
    };
    return gold->kids.size() > 2 && same_real_set(condition(gold, k), condition(answer, i), arena_).value_or(false);
  }

  // Pieces in any order, equal in value and condition.
  bool same_pieces(Ref gold, Ref answer) {
    if (gold->kind != answer->kind || gold->kids.size() != answer->kids.size()) return false;
    std::vector<bool> used(gold->kids.size() / 2, false);
    for (size_t i = 0; i < answer->kids.size(); i += 2) {
      bool found = false;
      for (size_t k = 0; k < gold->kids.size() && !found; k += 2) {
        found = !used[k / 2] && same(gold->kids[k], answer->kids[i]) && same_piece(gold, k + 1, answer, i + 1);
        if (found) used[k / 2] = true;
      }
      if (!found) return false;
    }
    return true;
  }

  // A(5, 7) is a point; f(5, 7) is a value.
  static bool is_named_point(Ref node) {
    const bool capital =
        node->kind == Kind::kApply && node->text.size() == 1 && node->text[0] >= 'A' && node->text[0] <= 'Z';
    return capital && node->kids.size() > 1 && node->text != "F" && node->text != "G" && node->text != "H";
  }

  static bool describes_set(Ref node) {
    return node->kind == Kind::kUnion || node->kind == Kind::kIntersection || node->kind == Kind::kDifference ||
           node->kind == Kind::kNamedSet;
  }

  // ---- lists, tuples, sets ----

  bool in_order(const Refs& a, const Refs& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!same(a[i], b[i])) return false;
    }
    return true;
  }

  // Whether every element of each side has an equal on the other; with `counted`, each time a different one.
  bool unordered(const Refs& gold, const Refs& answer, bool counted) {
    if (counted && gold.size() != answer.size()) return false;
    if (gold.size() * answer.size() > 40000) throw OverBudget("the lists are too long");
    std::vector<bool> used(gold.size(), false);
    for (Ref item : answer) {
      bool found = false;
      for (size_t i = 0; i < gold.size() && !(found && counted); ++i) {
        if (counted && used[i]) continue;
        const bool equal = same_element(gold[i], item);
        if (equal) used[i] = true;
        found = found || equal;
      }
      if (!found) return false;
    }
    return std::find(used.begin(), used.end(), false) == used.end();
  }

  bool same_element(Ref gold, Ref answer) {
    ++inside_;
    const bool out = same(gold, answer);
    --inside_;
    return out;
  }

  static Refs flattened(Ref node) {
    if (node->kind != Kind::kList) return {node};
    Refs out;
    for (Ref kid : node->kids) {
      const Refs inner = flattened(kid);
      out.insert(out.end(), inner.begin(), inner.end());
    }
    return out;
  }

  // The values of a list that names each of them differently, "x = 5, y = -8"; nullopt when it is no such list.
  struct Assignments {
    Refs written;  // in the order in which they are written
    Refs by_name;  // in the order of their names
    bool letters = true;
    bool roots = true;  // the names are x_1, x_2, ..., which have no order
  };
  std::optional<Assignments> assignments(const Refs& items) {
    Assignments out;
    std::map<std::string, Ref> values;
    for (Ref item : items) {
      if (item->kind != Kind::kRelation) return std::nullopt;
      const Claim claim = read_claim(item, policy_, arena_);
      if (claim.name == nullptr || claim.values.empty()) return std::nullopt;
      if (!values.emplace(canonical_text(claim.name), claim.values[0]).second) return std::nullopt;
      out.written.push_back(claim.values[0]);
      const bool symbol = claim.name->kind == Kind::kSymbol;
      out.letters = out.letters && symbol && claim.name->text.size() == 1;
      out.roots = out.roots && symbol && claim.name->text.starts_with("x_");
    }
    for (const auto& [name, value] : values) out.by_name.push_back(value);
    return out;
  }

  // Compares a list that names its values with one of bare values, which then have to come in the order of the names.
  // nullopt for other lists.
  std::optional<bool> named_and_bare(const Refs& gold, const Refs& answer) {
    const auto bare = [](const Refs& items) {
      return std::none_of(items.begin(), items.end(), [](Ref item) { return item->kind == Kind::kRelation; });
    };
    if (gold.size() < 2) return std::nullopt;
    if (bare(answer)) {
      const auto named = assignments(gold);
      if (!named) return std::nullopt;
      return in_order(named->written, answer) || (named->roots && unordered(named->written, answer, true));
    }
    const auto named = bare(gold) ? assignments(answer) : std::nullopt;
    if (!named) return std::nullopt;
    return in_order(gold, named->by_name) || (!named->letters && in_order(gold, named->written)) ||
           (named->roots && unordered(gold, named->written, true));
  }

  bool same_lists(Ref gold, Ref answer) {
    const Refs left = flattened(gold);
    const Refs right = flattened(answer);
    if (gold->kind == Kind::kTuple || answer->kind == Kind::kTuple) {
      const Ref list = gold->kind == Kind::kTuple ? answer : gold;
      if (list->text == "or" || list->text == "pm") return false;  // (1, 2) says both, "1 or 2" one of them
      return list_and_tuple(gold, answer, left, right);
    }
    if (gold->text != answer->text && (offers_names(gold) || offers_names(answer))) return false;
    // A set, \\pm and alternatives do not say which name has which value.
    const auto without_order = [](Ref node) {
      return node->kind == Kind::kSet || node->text == "or" || node->text == "pm";
    };
    const auto names_values = [&](const Refs& items) {
      const auto named = assignments(items);
      return items.size() > 1 && named && !named->roots;
    };
    if (without_order(answer) && names_values(left)) return false;
    if (counts_things(left) != counts_things(right)) return in_order(left, right);
    if (gold->kind == Kind::kSet || answer->kind == Kind::kSet) {
      return unordered(gold->kind == Kind::kSet ? gold->kids : left, answer->kind == Kind::kSet ? answer->kids : right,
                       false);
    }
    if (gold->kind == Kind::kMatrix || answer->kind == Kind::kMatrix) return false;
    if (gold->text == "parts" || answer->text == "parts") return in_order(left, right);  // "(a) 8 (b) 3" is no 3, 8
    if (const auto joined = joined_claim(gold, answer)) return *joined;
    if (const auto decided = named_and_bare(left, right)) return *decided;
    if (right.size() == 1 && gold->text != "or") return false;  // "75, 75" asks for two values
    if (left.size() == 1 || right.size() == 1)
      return repeats(left, right, gold->text == "or" || answer->text == "or" || answer->text == "and");
    return unordered(left, right, true);
  }

  // "3 apples and 4 pears": what is counted names the numbers.
  static bool counts_things(const Refs& items) {
    std::set<std::map<std::string, int>> nouns;
    for (Ref item : items) {
      const auto unit = item->kind == Kind::kUnit ? parse_unit(item->text) : std::nullopt;
      if (!unit || !nouns.insert(unit->dimensions).second) return false;
    }
    return items.size() > 1;
  }

  // "x = 1 or y = 2", where "x = 1 or x = 2" only lists the values of x.
  static bool offers_names(Ref list) {
    if (list->kind != Kind::kList || list->text != "or") return false;
    std::set<std::string> names;
    for (Ref kid : list->kids) {
      if (kid->kind == Kind::kRelation && kid->kids[0]->kind == Kind::kSymbol) names.insert(kid->kids[0]->text);
    }
    return names.size() > 1;
  }

  // A single value said two or three ways ("0.5 or 1/2") is that value.
  bool repeats(const Refs& left, const Refs& right, bool alternatives) {
    const Refs& many = left.size() == 1 ? right : left;
    if (many.size() > 3) return false;
    const bool spelled = std::all_of(many.begin(), many.end(),
                                     [&](Ref item) { return canonical_text(item) == canonical_text(many[0]); });
    if (!spelled && !alternatives) return false;  // "77, 77\%"

    const bool names = std::any_of(many.begin(), many.end(), [](Ref item) { return item->kind == Kind::kRelation; });
    return !names && std::all_of(left.begin(), left.end(), [&](Ref a) {
      return std::all_of(right.begin(), right.end(), [&](Ref b) { return same(a, b); });
    });
  }

  // "n = 1, 2, 3": the name belongs to the whole list.
  std::optional<bool> joined_claim(Ref gold, Ref answer) {
    const auto strip = [&](Ref list) -> std::optional<Refs> {
      if (list->kind != Kind::kList || list->kids[0]->kind != Kind::kRelation) return std::nullopt;
      const Claim claim = read_claim(list->kids[0], policy_, arena_);
      const bool rest =
          std::all_of(list->kids.begin() + 1, list->kids.end(), [](Ref kid) { return kid->kind != Kind::kRelation; });
      if (claim.name == nullptr || claim.values.empty() || !rest) return std::nullopt;
      Refs out{claim.values[0]};
      out.insert(out.end(), list->kids.begin() + 1, list->kids.end());
      return out;
    };
    const auto left = strip(gold);
    const auto right = strip(answer);
    if (!left && !right) return std::nullopt;
    if (left && right) {
      const Claim a = read_claim(gold->kids[0], policy_, arena_);
      const Claim b = read_claim(answer->kids[0], policy_, arena_);
      if (!same_name(a.name, a.values[0], b.name, b.values[0])) return false;
    }
    const Ref a = left ? arena_.make(Kind::kList, *left, ",") : gold;
    const Ref b = right ? arena_.make(Kind::kList, *right, ",") : answer;
    return same(a, b);
  }

  // Where a tuple is asked for, a bare list in the same order will do, and so will assignments such as x = 1, y = 2.
  // Where a list is asked for, a tuple will do from three values on: a pair in brackets is often an interval, or a
  // point where two roots were asked for.
  bool list_and_tuple(Ref gold, Ref answer, const Refs& left, const Refs& right) {
    const bool gold_is_list = gold->kind == Kind::kList;
    const Ref tuple = gold_is_list ? answer : gold;
    const Refs& items = gold_is_list ? left : right;
    if (const auto named = assignments(items)) {
      // Single letters come in alphabetical order (x, y, z); other names also in the order they are written.
      return in_order(tuple->kids, named->by_name) || (!named->letters && in_order(tuple->kids, named->written));
    }
    const auto is_relation = [](Ref item) { return item->kind == Kind::kRelation; };
    if (std::any_of(items.begin(), items.end(), is_relation) &&
        std::none_of(tuple->kids.begin(), tuple->kids.end(), is_relation))
      return false;  // x = 3, x = 4 are two values of x
    if (gold_is_list && tuple->text == "[]" && tuple->spaced)
      return in_order(items, tuple->kids);  // as Python prints a list
    const bool round = tuple->text == "()" || tuple->kids.size() > 2;
    if (!round || (gold_is_list && tuple->kids.size() < 3)) return false;
    return in_order(tuple->kids, items);
  }

  bool same_tuples(Ref gold, Ref answer) {
    if (gold->kind != answer->kind) return false;
    const bool brackets_matter = gold->kids.size() == 2;
    if (brackets_matter && gold->text != answer->text) return false;
    return in_order(gold->kids, answer->kids);
  }

  bool same_finite_sets(Ref gold, Ref answer) {
    if (gold->kind == Kind::kSet && answer->kind == Kind::kSet) return unordered(gold->kids, answer->kids, false);
    if (inside_ > 0) return false;  // {{1}, 2} is not {1, 2}
    const Ref set = gold->kind == Kind::kSet ? gold : answer;
    return set->kids.size() == 1 &&
           same(gold->kind == Kind::kSet ? set->kids[0] : gold, gold->kind == Kind::kSet ? answer : set->kids[0]);
  }

  bool same_sets(Ref gold, Ref answer) {
    if (const auto decided = same_real_set(gold, answer, arena_)) return *decided;
    if (gold->kind != answer->kind) return false;
    if (gold->kind == Kind::kNamedSet) return gold->text == answer->text;
    if (gold->kind == Kind::kDifference) return in_order(gold->kids, answer->kids);
    return unordered(members(gold), members(answer), true);
  }

  static Refs members(Ref node) {
    Refs out;
    for (Ref kid : node->kids) {
      const Refs inner = kid->kind == node->kind ? members(kid) : Refs{kid};
      out.insert(out.end(), inner.begin(), inner.end());
    }
    return out;
  }

  bool same_matrices(Ref gold, Ref answer) {
    if (gold->kind == Kind::kMatrix && answer->kind == Kind::kMatrix) {
      return gold->columns == answer->columns && in_order(gold->kids, answer->kids);
    }
    const Ref matrix = gold->kind == Kind::kMatrix ? gold : answer;
    const Ref other = gold->kind == Kind::kMatrix ? answer : gold;
    if (const Refs entries = listed_rows(other, matrix->columns); !entries.empty())
      return in_order(matrix->kids, entries);
    // A column is a vector: (1, 2, 3).
    return matrix->columns == 1 && other->kind == Kind::kTuple && other->text == "()" &&
           in_order(gold->kids, answer->kids);
  }

  // The entries of a matrix as Python prints it: [[1, 2], [3, 4]]. Empty when `list` is none with so many columns.
  static Refs listed_rows(Ref list, int columns) {
    Refs entries;
    if (list->kind != Kind::kTuple || list->text != "[]") return {};
    for (Ref row : list->kids) {
      if (row->kind != Kind::kTuple || row->text != "[]" || static_cast<int>(row->kids.size()) != columns) return {};
      entries.insert(entries.end(), row->kids.begin(), row->kids.end());
    }
    return entries;
  }

  bool same_ratios(Ref gold, Ref answer) {
    // Odds of 5:1 are no 5, nor 5 apples.
    const auto is_other = [&](Ref node) {
      if (node->kind == Kind::kRatio || node->kind == Kind::kDiv) return false;
      if (node->kind == Kind::kUnit || node->kind == Kind::kPercent || node->kind == Kind::kApply) return true;
      const auto value = exact_value(node, arena_.budget());
      return value && value->is_integer();
    };
    if (is_other(gold) || is_other(answer)) return false;
    if (gold->kind != answer->kind)
      return gold->kids.size() <= 2 && answer->kids.size() <= 2 && same_quantities(gold, answer, policy_, arena_);
    if (gold->kids.size() != answer->kids.size()) return false;
    for (size_t i = 1; i < gold->kids.size(); ++i) {
      const Ref left = arena_.make(Kind::kMul, {gold->kids[0], answer->kids[i]});
      const Ref right = arena_.make(Kind::kMul, {gold->kids[i], answer->kids[0]});
      if (!equal_scalars(left, right, policy_, arena_)) return false;
    }
    // A ratio with a zero passes the test above whatever its other part is: 5:0 and 50:0.
    const auto is_zero = [&](Ref kid) { return equal_scalars(kid, arena_.number(Rational(0)), policy_, arena_); };
    return std::none_of(answer->kids.begin(), answer->kids.end(), is_zero) &&
           std::none_of(gold->kids.begin(), gold->kids.end(), is_zero);
  }

  // ---- relations ----

  bool same_relations(Ref gold, Ref answer) {
    if (gold->kind == Kind::kRelation && answer->kind == Kind::kRelation) return two_relations(gold, answer);
    const Ref relation = gold->kind == Kind::kRelation ? gold : answer;
    const Ref other = gold->kind == Kind::kRelation ? answer : gold;
    if (is_congruence(relation) && is_residue(other)) return same_residues(relation->kids[1], other);
    const Claim claim = read_claim(relation, policy_, arena_, relation == answer);
    // Two letters of choices, "A = B" for B, choose nothing.
    if (claim.name != nullptr && is_choice_letter(claim.name) && is_choice_letter(other)) return false;
    for (Ref value : claim.values) {
      const bool interval = relation->relations[0] == Relation::kIn && value->kind == Kind::kTuple;
      if (interval && other->kind == Kind::kList) continue;
      if (relation == gold ? same(value, other) : same(other, value)) return true;
    }
    if (!claim.values.empty()) return false;
    if (relation == answer && is_identity(answer, gold)) return true;
    return same_real_set(gold, answer, arena_).value_or(false);
  }

  static bool is_choice_letter(Ref node) {
    return node->kind == Kind::kSymbol && node->text.size() == 1 && node->text[0] >= 'A' && node->text[0] <= 'J';
  }

  // (x-3)(x+2) = x^2-x-6: a chain of equal expressions has their value.
  bool is_identity(Ref chain, Ref value) {
    const auto equal = [](Relation relation) { return relation == Relation::kEqual; };
    return std::all_of(chain->relations.begin(), chain->relations.end(), equal) &&
           in_order(Refs(chain->kids.size(), value), chain->kids);
  }

  static bool is_residue(Ref node) { return node->kind == Kind::kApply && node->text == "mod"; }
  static bool is_congruence(Ref node) {
    return node->relations == std::vector<Relation>{Relation::kCongruent} && is_residue(node->kids[1]);
  }

  bool same_congruences(Ref gold, Ref answer) {
    return same(gold->kids[0], answer->kids[0]) && same_residues(gold->kids[1], answer->kids[1]);
  }

  // 2 and 7 modulo 5: the same modulus, residues that differ by a multiple of it.
  bool same_residues(Ref left, Ref right) {
    if (!same(left->kids[1], right->kids[1])) return false;
    if (same(left->kids[0], right->kids[0])) return true;
    const Ref difference = arena_.make(Kind::kAdd, {left->kids[0], arena_.make(Kind::kNeg, {right->kids[0]})});
    const auto multiple = exact_value(arena_.make(Kind::kDiv, {difference, left->kids[1]}), arena_.budget());
    return multiple && multiple->is_integer();
  }

  bool two_relations(Ref gold, Ref answer) {
    if (is_congruence(gold) && is_congruence(answer)) return same_congruences(gold, answer);
    const Claim left = read_claim(gold, policy_, arena_);
    const Claim right = read_claim(answer, policy_, arena_);
    const bool named = left.name != nullptr && right.name != nullptr;
    for (Ref value : named ? left.values : Refs{}) {
      for (Ref other : right.values) {
        if (same_name(left.name, value, right.name, other) && may_rename(other, right.name, left.name) &&
            same(value, rename_argument(other, right.name, left.name, arena_)))
          return true;
      }
    }
    if (!named && !left.values.empty() && !right.values.empty()) return same(left.values[0], right.values[0]);
    return same_equations(gold, answer) || same_chains(gold, answer) ||
           same_real_set(gold, answer, arena_).value_or(false);
  }

  // a = b and c = d are one equation if a - b = k (c - d) for a constant k that is not 0; so are inequalities, which a
  // negative k turns round.
  bool same_equations(Ref gold, Ref answer) {
    if (gold->relations.size() != 1 || answer->relations.size() != 1) return false;
    const Relation one = gold->relations[0];
    const Relation other = answer->relations[0];
    if (one == Relation::kIn || one == Relation::kApprox || one == Relation::kCongruent || other == Relation::kIn ||
        other == Relation::kApprox || other == Relation::kCongruent)
      return false;
    if (is_value(gold) && !is_value(answer)) return false;
    bool positive = true;
    const Ref left = difference(gold);
    const Ref right = difference(answer);
    if (!contains(left, Kind::kSymbol) || !contains(right, Kind::kSymbol)) return false;
    if (!proportional(left, right, arena_, positive)) {
      const bool equations = one == Relation::kEqual && other == Relation::kEqual;
      return equations && !is_solved(gold) && !is_solved(answer) &&
             same_after_denominators(left, right, arena_.budget());
    }
    return other == (positive ? one : mirrored(one));
  }

  // Whether a name stands alone on one side, and only known numbers on the other: x = 5, x < 5. What still has to be
  // solved for it, as 3x + 2 = 17, is the question and not the answer.
  static bool is_value(Ref relation) {
    const Ref left = relation->kids[0], right = relation->kids[1];
    const bool named = left->kind == Kind::kSymbol && !contains(right, Kind::kSymbol);
    return named || (right->kind == Kind::kSymbol && !contains(left, Kind::kSymbol));
  }

  // Whether the equation is solved for a name, y = ...: then the other one has to be solved, too. A derivative on the
  // left side is no such name.
  static bool is_solved(Ref equation) {
    const Ref side = equation->kids[0];
    const bool derivative = side->text.find("dot ") != std::string::npos || side->text.find('\'') != std::string::npos;
    return (side->kind == Kind::kSymbol || side->kind == Kind::kApply) && !derivative;
  }

  Ref difference(Ref relation) {
    return arena_.make(Kind::kAdd, {relation->kids[0], arena_.make(Kind::kNeg, {relation->kids[1]})});
  }

  // Whether two chains such as f(2) < f(1) < f(4) are the same, read from either end.
  bool same_chains(Ref gold, Ref answer) {
    if (gold->kids.size() != answer->kids.size()) return false;
    const auto matches = [&](const Refs& kids, const std::vector<Relation>& relations) {
      return relations == gold->relations && in_order(gold->kids, kids);
    };
    if (matches(answer->kids, answer->relations)) return true;
    Refs kids(answer->kids.rbegin(), answer->kids.rend());
    std::vector<Relation> relations;
    for (auto r = answer->relations.rbegin(); r != answer->relations.rend(); ++r) {
      if (*r == Relation::kIn) return false;
      relations.push_back(mirrored(*r));
    }
    return matches(kids, relations);
  }

  const ScalarPolicy& policy_;
  Arena& arena_;
  int inside_ = 0;  // number of lists and sets whose elements are being compared
};

}  // namespace

bool same_answer(Ref gold, Ref answer, const ScalarPolicy& policy, Arena& arena) {
  return Comparison(policy, arena).same(gold, answer);
}

}  // namespace grpo::verifier
