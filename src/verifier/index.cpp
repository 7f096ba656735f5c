#include "verifier/index.h"

#include <algorithm>
#include <optional>

#include "verifier/char_class.h"
#include "verifier/exact.h"

namespace grpo::verifier {
namespace {

constexpr int64_t kMostTerms = 40;  // of a sum that is written out

// A subscript such as 2k-1 with `text` in place of the letter. If only numbers are left, their sum: 5 at k = 3.
std::string subscript_with(std::string_view subscript, const std::string& index, const std::string& text) {
  const bool number = std::all_of(text.begin(), text.end(), [](char c) { return is_digit(c) || c == '-'; });
  std::string out;
  int64_t sum = 0;
  bool numbers = number && text.size() < 10 && subscript.size() < 10;
  for (size_t i = 0; i < subscript.size();) {
    const int64_t sign = subscript[i] == '-' ? -1 : 1;
    std::string term;
    if (subscript[i] == '-' || subscript[i] == '+') term += subscript[i++];
    int64_t factor = 0;
    bool digits = false;
    for (; i < subscript.size() && is_digit(subscript[i]); ++i) {
      factor = 10 * factor + (subscript[i] - '0');
      term += subscript[i];
      digits = true;
    }
    const bool letter = subscript.substr(i, index.size()) == index;
    if (letter) {
      term += text;
      i += index.size();
    } else if (!digits) {
      numbers = false;
      if (i < subscript.size()) term += subscript[i++];
    }
    if (numbers) sum += sign * (letter ? (digits ? factor : 1) * std::stoll(text) : factor);
    numbers = numbers && (i == subscript.size() || subscript[i] == '+' || subscript[i] == '-');
    out += term;
  }
  return numbers ? std::to_string(sum) : out;
}

// Where the subscript of a name begins, behind its first "_"; npos when it has none.
size_t subscript_begin(Ref node) {
  const size_t at =
      node->kind == Kind::kSymbol || node->kind == Kind::kApply ? node->text.find('_') : std::string::npos;
  return at == std::string::npos ? at : at + 1;
}

// Whether a subscript holds the letter other than as part of a word: k in "k-1" and "ik", not in "king".
bool holds_letter(std::string_view subscript, const std::string& index) {
  if (index.empty()) return false;  // {}, which is a symbol without a name
  size_t run = 0;
  bool found = false;
  for (size_t i = 0; i <= subscript.size(); ++i) {
    if (i < subscript.size() && is_letter(subscript[i])) {
      ++run;
      continue;
    }
    if (run > 0 && run < 3) found = found || subscript.substr(i - run, run).find(index) != std::string_view::npos;
    run = 0;
  }
  return found;
}

bool binds(Ref node, const std::string& index) { return is_series(node) && node->text == index; }

bool has_infinite_bound(Ref node) {
  return contains(node->kids[1], Kind::kInfinity) || contains(node->kids[2], Kind::kInfinity);
}

// Whether the terms are names with the index in them: a_k, f(k).
bool has_named_terms(Ref node, const std::string& index) {
  const size_t at = subscript_begin(node);
  if (at != std::string::npos && holds_letter(std::string_view(node->text).substr(at), index)) return true;
  if (node->kind == Kind::kOpaque) return node->text.find(index) != std::string::npos;
  if (node->kind == Kind::kApply && node->text != "mod" && has_index(node, index)) return true;
  if (binds(node, index)) return false;
  return std::any_of(node->kids.begin(), node->kids.end(), [&](Ref kid) { return has_named_terms(kid, index); });
}

// Whether a term holds symbols other than the index: x in \sum x^k.
bool has_symbols_beside(Ref node, const std::string& index) {
  if (node->kind == Kind::kSymbol) return node->text != index;
  return std::any_of(node->kids.begin(), node->kids.end(), [&](Ref kid) { return has_symbols_beside(kid, index); });
}

bool has_opaque(Ref node, const std::string& index) {
  if (node->kind == Kind::kOpaque) return node->text.find(index) != std::string::npos;
  return std::any_of(node->kids.begin(), node->kids.end(), [&](Ref kid) { return has_opaque(kid, index); });
}

// The first and the last value of the index, where both are numbers and not far from each other.
std::optional<std::pair<int64_t, int64_t>> few_terms(Ref series, Budget& budget) {
  if (has_infinite_bound(series)) return std::nullopt;
  const auto from = exact_value(series->kids[1], budget);
  const auto to = exact_value(series->kids[2], budget);
  if (!from || !to || !from->is_integer() || !to->is_integer() || !from->fits_int64() || !to->fits_int64())
    return std::nullopt;
  if (Rational(kMostTerms) < *to - *from || *to < *from) return std::nullopt;
  return std::pair{from->to_int64(), to->to_int64()};
}

Ref written_out(Ref series, int64_t from, int64_t to, Arena& arena) {
  std::vector<Ref> terms;
  for (int64_t k = from; k <= to; ++k) {
    const Ref value = arena.number(Rational(k));
    terms.push_back(
        spelled_out_series(with_index(series->kids[0], series->text, std::to_string(k), value, arena), arena));
  }
  if (terms.size() == 1) return terms[0];
  return arena.make(series->kind == Kind::kSum ? Kind::kAdd : Kind::kMul, std::move(terms));
}

// A kOpaque node whose text spells the series, with a fixed letter for its index unless opaque parts hide that letter.
Ref named_series(Ref series, Arena& arena) {
  Node copy = *series;
  if (!has_opaque(series->kids[0], series->text)) {
    copy.text = "#" + std::to_string(series->depth);
    copy.kids[0] =
        with_index(series->kids[0], series->text, copy.text, arena.make(Kind::kSymbol, {}, copy.text), arena);
  }
  return arena.make(Kind::kOpaque, {}, canonical_text(arena.keep(std::move(copy))));
}

}  // namespace

bool is_series(Ref node) { return node->kind == Kind::kSum || node->kind == Kind::kProduct; }

bool is_infinite_series(Ref node) { return is_series(node) && has_infinite_bound(node); }

Ref with_index(Ref node, const std::string& index, const std::string& text, Ref value, Arena& arena) {
  if (node->kind == Kind::kSymbol && node->text == index) return value;
  const size_t at = subscript_begin(node);
  const bool subscript = at != std::string::npos && holds_letter(std::string_view(node->text).substr(at), index);
  if (node->kids.empty() && !subscript) return node;
  Node copy = *node;
  if (subscript)
    copy.text = node->text.substr(0, at) + subscript_with(std::string_view(node->text).substr(at), index, text);
  for (size_t i = binds(node, index) ? 1 : 0; i < copy.kids.size(); ++i)
    copy.kids[i] = with_index(copy.kids[i], index, text, value, arena);
  return arena.keep(std::move(copy));
}

bool has_index(Ref node, const std::string& index) {
  if (node->kind == Kind::kSymbol && node->text == index) return true;
  const size_t at = subscript_begin(node);
  if (at != std::string::npos && holds_letter(std::string_view(node->text).substr(at), index)) return true;
  const size_t first = binds(node, index) ? 1 : 0;
  return std::any_of(node->kids.begin() + static_cast<long>(std::min(first, node->kids.size())), node->kids.end(),
                     [&](Ref kid) { return has_index(kid, index); });
}

std::string index_of(Ref name) {
  const size_t at = name->kind == Kind::kSymbol ? subscript_begin(name) : std::string::npos;
  if (at == std::string::npos || at + 1 != name->text.size()) return "";
  return std::string_view("jklmn").find(name->text[at]) == std::string_view::npos ? "" : name->text.substr(at);
}

Ref spelled_out_series(Ref node, Arena& arena) {
  if (!contains(node, Kind::kSum) && !contains(node, Kind::kProduct)) return node;
  if (is_series(node)) {
    const bool named = has_named_terms(node->kids[0], node->text);
    const auto ends = few_terms(node, arena.budget());
    if (ends && (named || has_symbols_beside(node->kids[0], node->text)))
      return written_out(node, ends->first, ends->second, arena);
    const bool symbolic = contains(node->kids[1], Kind::kSymbol) || contains(node->kids[2], Kind::kSymbol);
    if (has_infinite_bound(node) || (named && !symbolic)) return named_series(node, arena);
  }
  Node copy = *node;
  for (Ref& kid : copy.kids) kid = spelled_out_series(kid, arena);
  return arena.keep(std::move(copy));
}

}  // namespace grpo::verifier
