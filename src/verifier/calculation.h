#pragma once

#include "verifier/ast.h"

namespace grpo::verifier {

/// Whether an answer leaves arithmetic of plain numbers to be done, "98 + 77", "3 \cdot 4", "24 \div 4", as a text does
/// that only repeats the problem. Numbers as they are written are none: "-3", "3 1/2", "24/5", "5 million", "5 ft 6
/// in"; nor is what has a power, root, function or name in it. Of an equation, its sides decide: "98 + 77 = 175" is
/// none. Of a list, one item is enough.
bool is_calculation(Ref node);

/// The same where powers, roots and functions of plain numbers are to be calculated as well: "2^{10}", "\gcd(12, 18)";
/// but not 3 \cdot 10^4.
bool is_calculation_or_operation(Ref node);

}  // namespace grpo::verifier
