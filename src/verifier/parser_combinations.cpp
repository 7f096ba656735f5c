#include <string_view>
#include <utility>

#include "verifier/parser.h"

// Combinations and permutations by their letters: C_{10}^{3}, A_5^2, {}_5C_2, ^5P_2, 5C2. Only with numbers n >= k, so
// that a letter with other scripts stays a symbol.
namespace grpo::verifier {
namespace {

bool is_count_letter(const Token& token) {
  const bool letter = token.type == Token::Type::kSymbol || token.type == Token::Type::kText;
  return letter && (token.text == "C" || token.text == "P" || token.text == "A");
}

}  // namespace

// The integer in the script that begins with `mark` (^ or _) at `ahead`, which moves behind the script. Null when there
// is no such script.
const Token* Parser::script_number(std::string_view mark, size_t& ahead) const {
  if (!peek(ahead).is_punct(mark)) return nullptr;
  const size_t braces = peek(ahead + 1).is_punct("{") ? 1 : 0;
  const Token& token = peek(ahead + 1 + braces);
  if (token.type != Type::kNumber || !token.number.is_integer() || !token.number.fits_int64()) return nullptr;
  if (braces == 1 && !peek(ahead + 3).is_punct("}")) return nullptr;
  ahead += 2 + 2 * braces;
  return &token;
}

Ref Parser::count_of(char letter, const Rational& n, const Rational& k) {
  if (letter == 'C') return arena_.make(Kind::kBinomial, {arena_.number(n), arena_.number(k)});
  const auto factorial = [this](const Rational& value) {
    return arena_.make(Kind::kFactorial, {arena_.number(value)}, "!");
  };
  return arena_.make(Kind::kDiv, {factorial(n), factorial(n - k)});
}

// Scripts behind the letter, C_{10}^{3} and C^3_{10}: the lower one is n.
Ref Parser::combination() {
  if (!is_count_letter(peek())) return nullptr;
  size_t end = 1;
  const Token* n = script_number("_", end);
  const Token* k = script_number("^", end);
  if (n == nullptr && k != nullptr) n = script_number("_", end);
  if (n == nullptr && k == nullptr) return symbolic_combination();
  if (n == nullptr || k == nullptr || n->number < k->number || n->number < Rational(3)) return nullptr;
  const Ref out = count_of(peek().text[0], n->number, k->number);
  at_ += end;
  return out;
}

// C_n^k and C_m^3. Other lower scripts are not read so: C_1^2 is rather the square of a constant.
Ref Parser::symbolic_combination() {
  const auto script = [this](std::string_view mark, size_t at, size_t& end) -> const Token* {
    if (!peek(at).is_punct(mark)) return nullptr;
    const size_t braces = peek(at + 1).is_punct("{") ? 1 : 0;
    if (braces == 1 && !peek(at + 3).is_punct("}")) return nullptr;
    end = at + 2 + 2 * braces;
    return &peek(at + 1 + braces);
  };
  if (peek().text != "C") return nullptr;
  size_t end = 0;
  const Token* n = script("_", 1, end);
  const Token* k = n == nullptr ? nullptr : script("^", end, end);
  const bool names = k != nullptr && n->type == Type::kSymbol && (n->text == "n" || n->text == "m") &&
                     (k->type == Type::kNumber || (k->type == Type::kSymbol && k->text.size() == 1));
  if (!names) return nullptr;
  const Ref lower = arena_.make(Kind::kSymbol, {}, n->text);
  const Ref upper = k->type == Type::kNumber ? arena_.number(k->number) : arena_.make(Kind::kSymbol, {}, k->text);
  at_ += end;
  return arena_.make(Kind::kBinomial, {lower, upper});
}

// n in a script before the letter: {}_5C_2, ^5C_2, _5C_2.
Ref Parser::leading_combination() {
  size_t end = 0;
  const Token* n = script_number(at_punct("^") ? "^" : "_", end);
  if (n == nullptr || !is_count_letter(peek(end))) return nullptr;
  const char letter = peek(end).text[0];
  const Token* k = script_number("_", ++end);
  if (k == nullptr || n->number < k->number) return nullptr;
  const Ref out = count_of(letter, n->number, k->number);
  at_ += end;
  return out;
}

// 5C2, written without spaces.
Ref Parser::typed_combination() {
  const bool typed = peek().type == Type::kNumber && is_count_letter(peek(1)) && peek(2).type == Type::kNumber &&
                     !peek(1).space_before && !peek(2).space_before;
  if (!typed || !peek().number.is_integer() || !peek(2).number.fits_int64() || peek().number < peek(2).number)
    return nullptr;
  const Ref out = count_of(peek(1).text[0], peek().number, peek(2).number);
  at_ += 3;
  return out;
}

}  // namespace grpo::verifier
