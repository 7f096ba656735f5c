#include "verifier/matrix.h"

#include <vector>

namespace grpo::verifier {
namespace {

constexpr size_t kMaxProductTerms = 4000;

int rows(Ref m) { return static_cast<int>(m->kids.size()) / m->columns; }

Ref with_entries(Ref shape, std::vector<Ref> entries, int columns, Arena& arena) {
  Node out = *shape;
  out.kids = std::move(entries);
  out.columns = columns;
  return arena.keep(std::move(out));
}

template <typename Op>
Ref map(Ref m, Op op, Arena& arena) {
  std::vector<Ref> entries;
  for (Ref entry : m->kids) entries.push_back(op(entry));
  return with_entries(m, std::move(entries), m->columns, arena);
}

Ref product(Ref a, Ref b, Arena& arena) {
  if (a->columns != rows(b)) throw ParseError("matrices whose shapes do not fit");
  if (a->kids.size() * static_cast<size_t>(b->columns) > kMaxProductTerms)
    throw OverBudget("a matrix product is too large");
  std::vector<Ref> entries;
  for (int i = 0; i < rows(a); ++i) {
    for (int j = 0; j < b->columns; ++j) {
      std::vector<Ref> terms;
      for (int k = 0; k < a->columns; ++k) {
        terms.push_back(arena.make(Kind::kMul, {a->kids[static_cast<size_t>(i * a->columns + k)],
                                                b->kids[static_cast<size_t>(k * b->columns + j)]}));
      }
      entries.push_back(terms.size() == 1 ? terms[0] : arena.make(Kind::kAdd, std::move(terms)));
    }
  }
  return with_entries(a, std::move(entries), b->columns, arena);
}

Ref sum(Ref a, Ref b, Arena& arena) {
  if (a->columns != b->columns || a->kids.size() != b->kids.size())
    throw ParseError("matrices whose shapes do not fit");
  std::vector<Ref> entries;
  for (size_t i = 0; i < a->kids.size(); ++i) entries.push_back(arena.make(Kind::kAdd, {a->kids[i], b->kids[i]}));
  return with_entries(a, std::move(entries), a->columns, arena);
}

Ref transpose(Ref m, Arena& arena) {
  std::vector<Ref> entries;
  for (int j = 0; j < m->columns; ++j) {
    for (int i = 0; i < rows(m); ++i) entries.push_back(m->kids[static_cast<size_t>(i * m->columns + j)]);
  }
  return with_entries(m, std::move(entries), rows(m), arena);
}

// By expansion along the first row; at most four rows, so 24 products.
Ref determinant(Ref m, Arena& arena) {
  const int n = rows(m);
  if (n != m->columns || n > 4) throw ParseError("a determinant of no small square");
  if (n == 1) return m->kids[0];
  std::vector<Ref> terms;
  for (int skip = 0; skip < n; ++skip) {
    std::vector<Ref> entries;
    for (int i = n; i < n * n; ++i) {
      if (i % n != skip) entries.push_back(m->kids[static_cast<size_t>(i)]);
    }
    const Ref minor = determinant(with_entries(m, std::move(entries), n - 1, arena), arena);
    const Ref product = arena.make(Kind::kMul, {m->kids[static_cast<size_t>(skip)], minor});
    terms.push_back(skip % 2 == 0 ? product : arena.make(Kind::kNeg, {product}));
  }
  return arena.make(Kind::kAdd, std::move(terms));
}

bool is_matrix(Ref node) { return node->kind == Kind::kMatrix; }

Ref times(Ref a, Ref b, Arena& arena) {
  if (is_matrix(a) && is_matrix(b)) return product(a, b, arena);
  if (!is_matrix(a) && !is_matrix(b)) return arena.make(Kind::kMul, {a, b});
  const Ref matrix = is_matrix(a) ? a : b;
  const Ref factor = is_matrix(a) ? b : a;
  return map(
      matrix,
      [&](Ref entry) {
        return arena.make(Kind::kMul, {factor, entry});
      },
      arena);
}

bool is_transpose(Ref node) {
  return node->kind == Kind::kPow && node->kids[1]->kind == Kind::kSymbol && node->kids[1]->text == "T";
}

// (2, -3)^T is a column.
Ref column(Ref tuple, Arena& arena) {
  Node out;
  out.kind = Kind::kMatrix;
  out.kids = tuple->kids;
  out.columns = 1;
  return arena.keep(std::move(out));
}

Ref evaluate(Ref node, Arena& arena) {
  if (is_transpose(node) && node->kids[0]->kind == Kind::kTuple) return column(node->kids[0], arena);
  if (!contains(node, Kind::kMatrix) || is_matrix(node)) return node;
  std::vector<Ref> kids;
  for (Ref kid : node->kids) kids.push_back(evaluate(kid, arena));
  switch (node->kind) {
    case Kind::kMul: {
      Ref total = kids[0];
      for (size_t i = 1; i < kids.size(); ++i) total = times(total, kids[i], arena);
      return total;
    }
    case Kind::kAdd: {
      Ref total = kids[0];
      for (size_t i = 1; i < kids.size(); ++i) {
        if (!is_matrix(total) || !is_matrix(kids[i])) throw ParseError("a matrix plus a number");
        total = sum(total, kids[i], arena);
      }
      return total;
    }
    case Kind::kNeg:
      return map(
          kids[0], [&](Ref entry) { return arena.make(Kind::kNeg, {entry}); }, arena);
    case Kind::kDiv:
      if (!is_matrix(kids[0]) || is_matrix(kids[1])) throw ParseError("a division by a matrix");
      return map(
          kids[0],
          [&](Ref entry) {
            return arena.make(Kind::kDiv, {entry, kids[1]});
          },
          arena);
    case Kind::kPow:
      return is_matrix(kids[0]) && is_transpose(node) ? transpose(kids[0], arena) : node;
    case Kind::kFunction:
      return node->text == "det" && is_matrix(kids[0]) ? determinant(kids[0], arena) : node;
    default:
      return node;
  }
}

}  // namespace

Ref evaluate_matrices(Ref node, Arena& arena) {
  if (node->kind > Kind::kUnit ||
      !(contains(node, Kind::kMatrix) || (is_transpose(node) && node->kids[0]->kind == Kind::kTuple)))
    return node;
  try {
    return evaluate(node, arena);
  } catch (const ParseError&) {
    return node;
  }
}

}  // namespace grpo::verifier
