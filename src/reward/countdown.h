#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/verifier/verifier.h"

namespace grpo::reward {

/// A problem of the Countdown game: make the target out of the numbers.
struct Countdown {
  std::vector<int64_t> numbers;  // sorted
  int64_t target = 0;
};

/// Of a gold answer, which is the target, and the row's `nums`. Throws base::Error saying what is missing.
Countdown read_countdown(const std::string& gold, std::string_view row);

/// Right when the response's answer is an expression of + - * / and brackets over exactly these numbers, each used
/// once, whose exact value is the target. Also × ÷ − and \times, \div, \cdot; "= TARGET" may follow. The answer is what
/// the last <answer></answer> holds, else the last \boxed{}, else the last line. No floating point: 1/3*3 is 1. Work is
/// linear; more than 1,000 bytes, 100 brackets inside one another or numbers beyond 64 bits are over budget.
verifier::Verdict judge_countdown(const Countdown& countdown, std::string_view text);

}  // namespace grpo::reward
