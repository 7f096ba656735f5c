#pragma once

#include <string>

#include "verifier/ast.h"

namespace grpo::verifier {

/// `node` with the letter `index` replaced by `value` where it is a symbol and by `text`, the spelling of the same
/// number or letter, in subscripts: a_{k-1} at k = 3 is a_2. The body of a sum over this letter keeps it.
Ref with_index(Ref node, const std::string& index, const std::string& text, Ref value, Arena& arena);

/// Whether the letter `index` occurs in `node` as a symbol or in a subscript, other than in the body of a sum over it.
bool has_index(Ref node, const std::string& index);

/// The index of a name such as a_n or S_k: one of j, k, l, m, n as its subscript. Empty for F_x, m_e, a_1 and all else.
std::string index_of(Ref name);

/// `node` with those sums and products rewritten that cannot be evaluated as they stand. One with few terms and symbols
/// in them is written out: \sum_{k=1}^3 a_k becomes a_1 + a_2 + a_3. An infinite one, and a long one whose terms are
/// names such as a_k and f(k), becomes a kOpaque node whose text does not depend on the letter of the index.
Ref spelled_out_series(Ref node, Arena& arena);

bool is_series(Ref node);

/// A sum or product with an infinite bound.
bool is_infinite_series(Ref node);

}  // namespace grpo::verifier
