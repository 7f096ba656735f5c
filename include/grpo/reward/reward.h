#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/verifier/gold.h"
#include "grpo/verifier/verifier.h"

namespace grpo::reward {

enum class TermType {
  kMath,     // 1 when the verifier says right, else 0
  kExact,    // 1 when the response and the gold answer are the same text, spaces at the ends aside
  kNumeric,  // 1 when the last number of the response equals the gold answer
  kRegex,    // 1 when `pattern` matches somewhere in the response
  kFormat,   // 1 when the response ends its answer in a complete, non-empty \boxed{}
  kLength,   // tokens of the completion; with a negative weight long answers cost
};
inline std::vector<std::string> enum_names(TermType) {
  return {"math", "exact", "numeric", "regex", "format", "length"};
}

struct RewardTerm {
  TermType type = TermType::kMath;
  std::string name = {};  // in reward/<name>/mean; empty: that of the type
  double weight = 1.0;
  std::string pattern;  // of regex
  GRPO_FIELDS(f) {
    f("type", type, "what the term measures");
    f("name", name,
      "in reward/<name>/mean and the rollout files; empty: the type, as regex, and regex_2 for the second");
    f("weight", weight, "factor in the sum");
    f("pattern", pattern,
      "Perl-compatible regular expression of a regex term (PCRE2, UTF-8); . matches line breaks only behind (?s)");
  }
};

/// The verifier's policy (verifier::VerifierConfig) as keys.
struct VerifierOptions {
  std::vector<std::string> fallbacks = enum_names(verifier::Fallback{});
  int64_t decimal_digits = 10;
  int64_t steps = 20000;
  GRPO_FIELDS(f) {
    f("fallbacks", fallbacks,
      "where to look for the answer of a response without a box, in this order; []: a box is demanded");
    f("decimal_digits", decimal_digits, "significant digits a decimal needs to stand for an exact value",
      base::at_least(1));
    f("steps", steps, "work budget of one comparison, about a microsecond each", base::at_least(1));
  }
};
/// Throws base::ConfigError on an unknown fallback.
verifier::VerifierConfig verifier_config(const VerifierOptions& options);

struct RewardConfig {
  std::vector<RewardTerm> terms = {RewardTerm{}};
  VerifierOptions verifier;
  double max_bad_golds = 0.01;
  std::vector<std::string> placeholders = verifier::default_placeholders();
  GRPO_FIELDS(f) {
    f("terms", terms, "weighted terms; the reward is their sum");
    f("verifier", verifier, "policy of the math verifier, also in evaluation");
    f("max_bad_golds", max_bad_golds,
      "share of gold answers that may be missing, or such that no right completion is judged right, before the start "
      "is refused",
      base::between(0, 1));
    f("placeholders", placeholders, "gold answers that stand for a missing one; their problems are left out");
  }
};

/// The reward that judges an evaluation: the one term called `judge`, or with "auto" the first that compares with the
/// gold answer, or math where there is none. Throws base::ConfigError for a name that no such term has.
RewardConfig judge_of(const RewardConfig& config, const std::string& judge);

/// The most that a term demands of a gold answer: an answer (math), a number (numeric), any text (exact); none without
/// such a term.
verifier::GoldUse gold_use(const RewardConfig& config);

/// One completion to score, with all that is known of it. What it refers to outlives the call.
struct Item {
  std::string_view problem;            // its id
  std::span<const std::string> golds;  // each of them right; at least one, which may be empty
  std::string_view fields;             // a JSON object of the row's keys that data.extra_keys names; empty: none
  std::string_view prompt;             // as the policy saw it
  std::span<const int64_t> prompt_ids;
  int64_t sample = 0;  // number in its group
  /// The assistant's turn: what the prompt began it with, and the completion without special tokens.
  std::string_view text;
  std::span<const int64_t> ids;  // of the completion
  bool truncated = false;        // ended at the length limit
};

struct Score {
  double reward = 0.0;              // sum of weight times value; any real number
  double magnitude = 0.0;           // sum of their absolute values: what the rounding of `reward` is a share of
  verifier::Verdict verdict;        // of the first term that compares with the gold answer; unparsable when none does
  std::vector<double> values = {};  // of each term, in the order of RewardFunction::names()
  std::string failure = {};         // "<term>: why": a value is not known, and so no reward; empty when all are

  bool failed() const { return !failure.empty(); }
};

/// Thread-safe.
class RewardFunction {
 public:
  virtual ~RewardFunction() = default;
  /// The terms' names.
  virtual std::vector<std::string> names() const = 0;
  /// Of every item, in their order.
  virtual std::vector<Score> score(std::span<const Item> items) const = 0;
};

/// Throws base::ConfigError when there is no term, two have one name, a pattern is missing, misplaced or malformed.
std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config);

}  // namespace grpo::reward
