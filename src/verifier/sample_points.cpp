#include "verifier/sample_points.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <optional>
#include <set>
#include <string_view>

#include "grpo/base/random.h"
#include "verifier/polynomial.h"

namespace grpo::verifier {
namespace {

constexpr size_t kMostEdges = 40;     // arguments whose sign divides the pieces
constexpr size_t kMostEnds = 24;      // ends of pieces along one symbol
constexpr size_t kFewEnds = 4;        // up to so many, each piece gets three points instead of one
constexpr size_t kMostCrossings = 8;  // ends searched for in one argument that is no rational function
constexpr int kHalvings = 60;         // of an interval in which such an argument changes its sign
constexpr int64_t kSearchPrecision = 64;

template <size_t N>
bool is_function(Ref node, const std::string_view (&names)[N]) {
  return node->kind == Kind::kFunction && std::find(std::begin(names), std::end(names), node->text) != std::end(names);
}

bool is_fractional_power(Ref node) {
  return node->kind == Kind::kPow && !(node->kids[1]->kind == Kind::kNumber && node->kids[1]->number.is_integer());
}

Rational whole(const Rational& value) {
  Rational out;
  fmpz_fdiv_q(fmpq_numref(out.get()), value.num(), value.den());
  return out;
}

// An expression whose sign divides two pieces.
struct Edge {
  Ref value = nullptr;
  // Of a step function, only whole numbers beside the end are tried: its symbols may stand for integers. A root is real
  // on one side of most of its ends, so they are searched for only where that is cheap, in rational functions.
  enum class Of { kSign, kStep, kRoot } of = Of::kSign;
  Symbols symbols;
};

class Edges {
 public:
  explicit Edges(Arena& arena) : arena_(arena) {}

  // Adds the edges of a node, those of its operands first.
  void collect(Ref node) {
    if (node->kind == Kind::kSum || node->kind == Kind::kProduct) return;  // their index has no value here
    for (Ref kid : node->kids) collect(kid);
    static constexpr std::string_view kSigns[] = {"abs", "sgn", "arctan", "atan", "arccot"};
    static constexpr std::string_view kExtremes[] = {"max", "min"};
    static constexpr std::string_view kSteps[] = {"floor", "ceil"};
    static constexpr std::string_view kInverses[] = {"arcsin", "asin",    "arccos", "acos",    "arcsec",
                                                     "arccsc", "arccosh", "acosh",  "arctanh", "atanh"};
    if (is_function(node, kSigns)) {
      add_factors(node->kids[0], Edge::Of::kSign);
    } else if (node->kind == Kind::kRoot || is_fractional_power(node)) {
      add_factors(node->kids[0], Edge::Of::kRoot);
    } else if (is_function(node, kExtremes)) {
      for (size_t i = 0; i < node->kids.size(); ++i) {
        for (size_t k = 0; k < i; ++k) add(minus(node->kids[i], node->kids[k]), Edge::Of::kSign);
      }
    } else if (is_function(node, kSteps)) {
      add(node->kids[0], Edge::Of::kStep);
      add(minus(node->kids[0], one()), Edge::Of::kStep);
    } else if (is_function(node, kInverses)) {
      add(minus(node->kids[0], one()), Edge::Of::kSign);
      add(arena_.make(Kind::kAdd, {node->kids[0], one()}), Edge::Of::kSign);
    }
  }

  const std::vector<Edge>& all() const { return edges_; }

 private:
  Ref one() { return arena_.number(Rational(1)); }
  Ref minus(Ref a, Ref b) { return arena_.make(Kind::kAdd, {a, arena_.make(Kind::kNeg, {b})}); }

  void add(Ref value, Edge::Of of) {
    if (is_constant(value) || !texts_.insert(canonical_text(value)).second) return;
    edges_.push_back({value, of, free_symbols(value)});
    if (edges_.size() > kMostEdges) throw OverBudget("the functions have too many pieces");
  }

  void add_factors(Ref node, Edge::Of of) {
    if (node->kind == Kind::kMul || node->kind == Kind::kDiv) {
      for (Ref kid : node->kids) add_factors(kid, of);
    } else if (node->kind == Kind::kNeg) {
      add_factors(node->kids[0], of);
    } else if (node->kind == Kind::kPow) {
      add_factors(node->kids[0], Edge::Of::kSign);  // the root of a square is an absolute value
    } else {
      add(node, of);
    }
  }

  Arena& arena_;
  std::vector<Edge> edges_;
  std::set<std::string> texts_;
};

// The ends of the pieces along one symbol.
class Line {
 public:
  Line(Point base, std::string symbol, Budget& budget)
      : base_(std::move(base)), symbol_(std::move(symbol)), budget_(budget) {}

  void add(const Edge& edge) {
    if (edge.symbols.find(symbol_) == edge.symbols.end()) return;
    const auto exact = real_roots(edge.value, symbol_, base_.values, budget_);
    if (!exact && edge.of == Edge::Of::kRoot) return;
    for (const Rational& end : exact ? *exact : crossings(edge.value)) {
      ends_.push_back(end);
      (edge.of == Edge::Of::kStep ? steps_ : sides_).push_back(end);
    }
    for (auto* list : {&ends_, &sides_, &steps_}) {
      std::sort(list->begin(), list->end());
      list->erase(std::unique(list->begin(), list->end()), list->end());
    }
    if (ends_.size() > kMostEnds) throw OverBudget("the functions have too many pieces");
  }

  bool empty() const { return ends_.empty(); }
  // A value before all ends, and one behind them. REQUIRES: not empty().
  Rational before() const { return beyond(ends_.front(), -1); }
  Rational behind() const { return beyond(ends_.back(), 1); }

  std::vector<Point> points() const {
    std::vector<Point> out;
    for (const Rational& value : between()) out.push_back(at(value));
    for (const Rational& end : steps_) {
      for (const int64_t beside : {-1, 0, 1}) out.push_back(at(whole(end) + Rational(beside)));
    }
    return out;
  }

 private:
  static Rational beyond(const Rational& end, int64_t direction) {
    return end + Rational(direction) * (Rational(1) + magnitude(end) / Rational(16));
  }

  Point at(const Rational& value) const {
    Point point = base_;
    point.values[symbol_] = value;
    return point;
  }

  // Values at, between and beyond the ends of the pieces that are no steps.
  std::vector<Rational> between() const {
    std::vector<Rational> ends = sides_;
    if (ends.empty()) return {};
    ends.emplace_back(0);  // where the domain of roots and logarithms often ends
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    if (ends.size() == 1) return {};  // special points lie on both sides of zero
    std::vector<Rational> out{beyond(ends.front(), -1), beyond(ends.back(), 1)};
    for (size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].is_integer()) out.push_back(ends[i]);
      if (i + 1 == ends.size()) break;
      for (const Rational& part : {Rational(3, 7), Rational(1, 11), Rational(10, 11)}) {
        out.push_back(ends[i] + (ends[i + 1] - ends[i]) * part);
        if (ends.size() > kFewEnds) break;
      }
    }
    return out;
  }

  // The sign of a real value; nullopt where there is none, or it is too large or too close to zero to tell.
  std::optional<int> sign(Ref node, const Rational& value) {
    try {
      const Evaluation here = evaluate(node, at(value), kSearchPrecision, budget_);
      const auto* real = acb_realref(here.value.get());
      if (here.left_reals || !acb_is_real(here.value.get())) return std::nullopt;
      if (arb_is_zero(real) != 0) return 0;
      if (arb_contains_zero(real) != 0) return std::nullopt;
      return arb_is_positive(real) != 0 ? 1 : -1;
    } catch (const Undefined&) {
      return std::nullopt;
    } catch (const ValueTooLarge&) {
      return std::nullopt;
    }
  }

  std::vector<Rational> grid() const {
    std::vector<Rational> out = ends_;
    out.emplace_back(0);
    for (const int k : {-64, -32, -16, -8, 0, 4, 8, 16, 24, 32, 48, 64}) {
      Rational power(1);
      fmpz_mul_2exp(k < 0 ? fmpq_denref(power.get()) : fmpq_numref(power.get()), power.num(),
                    static_cast<ulong>(std::abs(k)));
      out.push_back(power);
      out.push_back(-power);
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  // Where a function that is not rational changes its sign.
  std::vector<Rational> crossings(Ref node) {
    std::vector<Rational> out;
    std::optional<int> last;
    Rational from;
    for (const Rational& to : grid()) {
      const auto here = sign(node, to);
      if (!here) continue;
      if (*here == 0) out.push_back(to);
      if (last && *last * *here < 0) out.push_back(halved(node, from, to, *last));
      if (out.size() >= kMostCrossings) break;
      last = here;
      from = to;
    }
    return out;
  }

  // Whether all values between two are nearly the same and next to the same whole number.
  static bool is_narrow(const Rational& low, const Rational& high) {
    const Rational width = high - low;
    return width < Rational(1, 4) && width * Rational(1 << 20) < magnitude(low) + magnitude(high);
  }

  Rational halved(Ref node, Rational low, Rational high, int low_sign) {
    for (int i = 0; i < kHalvings && !is_narrow(low, high); ++i) {
      const Rational middle = (low + high) / Rational(2);
      const auto here = sign(node, middle);
      if (!here || *here == 0) return middle;
      (*here == low_sign ? low : high) = middle;
    }
    return low;
  }

  Point base_;
  std::string symbol_;
  Budget& budget_;
  std::vector<Rational> ends_;   // all that are found so far: between them, no earlier argument changes its sign
  std::vector<Rational> sides_;  // those that are no steps
  std::vector<Rational> steps_;
};

}  // namespace

Point sample_point(const Symbols& symbols, int trial, bool decimal_log) {
  static const base::RandomKey kKey{.seed = 0x5eed, .stream = base::stream_id("verifier")};
  // Primes near 2^18 and 2^15: values up to 4, or up to 32.
  static constexpr std::array<int64_t, 5> kScales = {262139, 262133, 32749, 32719, 262127};
  Point point;
  point.decimal_log = decimal_log;
  uint32_t index = 0;
  const int pattern = trial % 5;
  for (const auto& [name, count] : symbols) {
    const auto numerator =
        static_cast<int64_t>(base::uniform_below(kKey, static_cast<uint64_t>(trial), index, 1u << 20)) + 1;
    const bool unit = name.rfind("unit ", 0) == 0;
    const bool negative =
        !unit && (pattern == 2 || (pattern == 1 && index % 2 == 0) || (pattern == 4 && index % 2 == 1));
    ++index;
    point.values[name] = Rational(negative ? -numerator : numerator) / Rational(kScales[static_cast<size_t>(pattern)]);
  }
  return point;
}

Point rounded(Point point) {
  for (auto& [name, value] : point.values) value = whole(value);
  return point;
}

bool has_steps(Ref node) {
  static constexpr std::string_view kNames[] = {"floor", "ceil", "sgn"};
  return is_function(node, kNames) || std::any_of(node->kids.begin(), node->kids.end(), has_steps);
}

bool has_pieces(Ref node) {
  static constexpr std::string_view kNames[] = {"abs",    "max",    "min",    "sgn",     "floor", "ceil",    "exp",
                                                "tanh",   "arcsin", "asin",   "arccos",  "acos",  "arctan",  "atan",
                                                "arccot", "arcsec", "arccsc", "arccosh", "acosh", "arctanh", "atanh"};
  const bool root = node->kind == Kind::kRoot || (node->kind == Kind::kPow && node->kids[1]->kind != Kind::kNumber);
  return is_function(node, kNames) || root || std::any_of(node->kids.begin(), node->kids.end(), has_pieces);
}

std::vector<Point> special_points(const Symbols& symbols, bool decimal_log) {
  static const std::array<Rational, 14> kValues = {Rational(2520000),
                                                   Rational(1 << 20),
                                                   Rational(2520 * 2048 - 1, 2048),
                                                   Rational(1, 8),
                                                   Rational(1, 4096),
                                                   Rational(-3, 1000),
                                                   Rational(-2520000),
                                                   Rational(1'000'000'000'007),
                                                   Rational(-1'000'000'000'007),
                                                   Rational(1001),
                                                   Rational(-1001),
                                                   Rational(7),
                                                   Rational(-5, 2),
                                                   Rational(1'000'003)};
  std::vector<Point> points(kValues.size());
  for (size_t trial = 0; trial < kValues.size(); ++trial) {
    points[trial].decimal_log = decimal_log;
    size_t index = 0;
    for (const auto& [name, count] : symbols)
      points[trial].values[name] = kValues[(trial + 5 * index++) % kValues.size()];
  }
  return points;
}

std::vector<Point> piece_points(Ref a, Ref b, const Symbols& symbols, bool decimal_log, Arena& arena) {
  Edges edges(arena);
  edges.collect(a);
  edges.collect(b);
  if (edges.all().empty()) return {};
  const Point base = sample_point(symbols, 0, decimal_log);
  Point before = base;
  Point behind = base;
  std::vector<Point> points;
  for (const auto& [name, count] : symbols) {
    Line line(base, name, arena.budget());
    for (const Edge& edge : edges.all()) line.add(edge);
    if (line.empty() || name.starts_with("unit ")) continue;
    const auto found = line.points();
    points.insert(points.end(), found.begin(), found.end());
    before.values[name] = line.before();
    behind.values[name] = line.behind();
  }
  if (symbols.size() > 1 && !points.empty()) points.insert(points.end(), {before, behind});
  return points;
}

}  // namespace grpo::verifier
