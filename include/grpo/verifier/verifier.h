#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::verifier {

/// Where to look for the final answer of a response that has no \boxed{}. A box, where there is one, always decides.
enum class Fallback {
  kAnswerTag,   // <answer>...</answer>
  kPhrase,      // "the answer is ...", in several languages; the last one
  kHashes,      // "#### ..."
  kWhole,       // a text that is nothing but an expression
  kMath,        // the last $...$, \(...\), \[...\]
  kLastNumber,  // the last number of the prose
};

/// The names of the enumerators, in the order of their declaration. The default search asks them in this order, too.
inline std::vector<std::string> enum_names(Fallback) {
  return {"answer-tag", "phrase", "hashes", "whole", "math", "last-number"};
}

/// The fallbacks with these names of enum_names(); throws base::ConfigError on an unknown name.
std::vector<Fallback> fallbacks_named(const std::vector<std::string>& names);

/// Policy of the verifier. Each default errs on the strict side: a wrong answer that counts as right teaches the policy
/// to cheat, a right one that counts as wrong only costs a sample.
struct VerifierOptions {
  std::vector<Fallback> fallbacks = {Fallback::kAnswerTag, Fallback::kPhrase, Fallback::kHashes,
                                     Fallback::kWhole,     Fallback::kMath,   Fallback::kLastNumber};
  int decimal_digits = 10;  // significant digits a decimal needs to stand for an exact value: 0.83 is not 5/6
  // Whether an answer that is stated (in a box, a tag, behind ####, a phrase or a verb) may leave plain numbers to be
  // calculated: "\boxed{2 \cdot 7}" for 14. In running text, "To add 98 + 77, we", that never counts.
  bool calculations = true;
  int points = 5;         // random points at which two formulas must agree; see docs/verifier.md for the error
  int64_t steps = 20000;  // work budget of one comparison, in steps of about a microsecond
};

/// What the verifier says of one answer, and why.
struct Verdict {
  enum class Kind { kRight, kWrong, kUnparsable, kOverBudget };
  Kind kind = Kind::kUnparsable;
  std::string gold_parsed;  // the gold answer as it was read
  std::string pred_parsed;  // the response's answer as it was read; empty when none was found
  std::string rule;    // which rule found the response's answer: "box", "boxes", "answer tag", "phrase", "####", ...
  std::string reason;  // why the answer is not right; empty when it is
};

/// "right", "wrong", "unparsable", "over-budget".
std::string to_string(Verdict::Kind kind);

/// Whether the final answer of a response equals the gold answer; docs/verifier.md states the grammar and the rules.
/// Thread-safe, without global state; never throws; the same input gets the same verdict on every machine. Finding the
/// answer takes time linear in the response's length, comparing it at most options.steps.
Verdict verify(std::string_view gold, std::string_view text, const VerifierOptions& options = {});

}  // namespace grpo::verifier
