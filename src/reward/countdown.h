#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/verifier/verifier.h"

namespace grpo::reward {

/// A problem of the Countdown game: make the target out of the numbers.
struct Countdown {
  std::vector<int64_t> numbers;  // sorted, none below 0
  int64_t target = 0;
};

/// Reads a problem from its gold answer, which is the target, and the row's `nums`. Throws
/// base::Error saying what is missing.
Countdown read_countdown(const std::string& gold, std::string_view row);

/// The verdict is right when the response's answer is an expression of + - * / and brackets that uses exactly these
/// numbers, each once, and whose exact value is the target. × ÷ − and \times, \div, \cdot are read too, and "= TARGET"
/// may follow. The answer is the content of the last <answer></answer>, else of the last \boxed{}, else the last line.
/// Values are computed as fractions, so 1/3*3 is 1. Work is linear in the text. More than 1,000 bytes, brackets nested
/// deeper than 100 or numbers beyond 64 bits are over budget.
verifier::Verdict judge_countdown(const Countdown& countdown, std::string_view text);

}  // namespace grpo::reward
