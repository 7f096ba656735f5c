#pragma once

#include <string>
#include <string_view>

namespace grpo::reward {

/// What the verifier says of one answer, and why.
struct Verdict {
  enum class Kind { kRight, kWrong, kUnparsable, kOverBudget };
  Kind kind = Kind::kUnparsable;
  std::string gold_parsed;  // as it was read
  std::string pred_parsed;  // the answer taken from the response, as it was read; empty when there is none
  std::string rule;         // which extraction rule found it: "box", "####", "last number"
  std::string reason;       // why not right
};

/// "right", "wrong", "unparsable", "over-budget".
std::string to_string(Verdict::Kind kind);

/// Whether the final answer of a response equals the gold answer. Exact rational arithmetic on integers, decimals and
/// fractions; other answers are compared as normalised text. Thread-safe, never throws, work linear in the input.
Verdict verify(std::string_view gold, std::string_view text);

}  // namespace grpo::reward
