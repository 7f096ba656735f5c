#pragma once

#include <string>

#include "verifier/ast.h"

namespace grpo::verifier {

/// `node` with a number or another letter, in `text` and `value` alike, in place of the letter `index`: as a symbol and
/// in subscripts, so that a_{k-1} at k = 3 is a_2. Sums that bind the letter themselves keep it.
Ref with_index(Ref node, const std::string& index, const std::string& text, Ref value, Arena& arena);

/// Whether the letter stands in `node`, free, as a symbol or in a subscript.
bool has_index(Ref node, const std::string& index);

/// The letter of a_n, S_k: one of j, k, l, m, n below a name. Empty for other names (F_x, m_e, a_1).
std::string index_of(Ref name);

/// Sums and products whose terms are names, such as a_k and f(k), have no value by their index alone. Those with few
/// terms and symbols in them are written out, \sum_{k=1}^3 a_k = a_1 + a_2 + a_3; infinite ones, and long ones of
/// names, become names of their own in which the letter of the index does not count. Others stay as they are.
Ref spelled_out_series(Ref node, Arena& arena);

bool is_series(Ref node);

/// A sum or product with an infinite bound.
bool is_infinite_series(Ref node);

}  // namespace grpo::verifier
