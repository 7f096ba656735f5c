#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/verifier/gold.h"
#include "grpo/verifier/verifier.h"

namespace grpo::reward {

enum class TermType {
  kMath,       // 1 when the verifier says right, else 0
  kExact,      // 1 when the response and the gold answer are the same text, spaces at the ends aside
  kNumeric,    // 1 when the last number of the response equals the gold answer
  kRegex,      // 1 when `pattern` matches somewhere in the response
  kFormat,     // 1 when the response ends its answer in a complete, non-empty \boxed{}
  kLength,     // tokens of the completion; with a negative weight long answers cost
  kCommand,    // what a program says that is asked line by line (docs/rewards.md)
  kHttp,       // what a server says that gets the same as an array
  kCountdown,  // 1 when the answer is an expression of the row's `nums`, each used once, that is worth the gold answer
};
inline std::vector<std::string> enum_names(TermType) {
  return {"math", "exact", "numeric", "regex", "format", "length", "command", "http", "countdown"};
}

/// What becomes of a completion that a grader could not judge: the run ends, or the completion is left out and counted.
enum class OnFailure { kStop, kLeaveOut };
inline std::vector<std::string> enum_names(OnFailure) { return {"stop", "leave_out"}; }

struct RewardTerm {
  TermType type = TermType::kMath;
  std::string name = {};  // in reward/<name>/mean; empty: that of the type
  double weight = 1.0;
  std::string pattern;  // of regex
  std::vector<std::string> command = {};
  std::string url = {};
  double timeout_s = 60.0;
  int64_t workers = 1;
  int64_t retries = 2;
  OnFailure on_failure = OnFailure::kStop;
  double right_at = 1.0;
  GRPO_FIELDS(f) {
    f("type", type, "what the term measures");
    f("name", name,
      "in reward/<name>/mean and the rollout files; empty: the type, as regex, and regex_2 for the second");
    f("weight", weight, "factor in the sum");
    f("pattern", pattern,
      "Perl-compatible regular expression of a regex term (PCRE2, UTF-8); . matches line breaks only behind (?s)");
    f("command", command,
      "of a command term: the program and its arguments, as [python3, grader.py]; it gets and gives JSON lines "
      "(docs/rewards.md); no shell is in between");
    f("url", url, "of an http term: where an array of what a command gets is posted, as http://127.0.0.1:8000/grade");
    f("timeout_s", timeout_s,
      "seconds without an answer of a command, or for a post to a server and for its start, after which it has failed",
      base::above(0));
    f("workers", workers, "how many processes of the command, or connections to the server, each rank keeps",
      base::at_least(1));
    f("retries", retries, "how often a completion is asked about again, one by one, where the grader failed",
      base::at_least(0));
    f("on_failure", on_failure,
      "when the retries have failed too: stop (the run ends) or leave_out (the completion is left out, counted in "
      "reward/failed and named in a warning)");
    f("right_at", right_at,
      "the value of a grader's from which on a completion is right, in accuracy and evaluations, where no term "
      "compares with the gold answer");
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

/// Whether a term asks other programs: commands or servers.
bool uses_graders(const RewardConfig& config);

/// Whether a term looks at fields of a problem's row that no key names (Item::row).
bool needs_whole_rows(const RewardConfig& config);

/// Why a term cannot judge any completion of a problem with this gold answer and row; empty when all can.
std::string why_unfit(const RewardConfig& config, const std::string& gold, std::string_view row);

/// The reward that judges an evaluation: the one term called `judge`, or with "auto" the first that compares with the
/// gold answer, or the first grader, or math where there is neither. Throws base::ConfigError for a name that no such
/// term has.
RewardConfig judge_of(const RewardConfig& config, const std::string& judge);

/// The most that a term demands of a gold answer: an answer (math), a number (numeric), any text (exact, countdown);
/// none without such a term.
verifier::GoldUse gold_use(const RewardConfig& config);

/// One completion to score, with all that is known of it. What it refers to outlives the call.
struct Item {
  std::string_view problem;            // its id
  std::span<const std::string> golds;  // each of them right; at least one, which may be empty
  std::string_view fields;             // a JSON object of the row's keys that data.extra_keys names; empty: none
  std::string_view row;                // the row as a JSON object, where needs_whole_rows() asks for it; else empty
  std::string_view prompt;             // as the policy saw it
  std::span<const int64_t> prompt_ids;
  int64_t sample = 0;  // number in its group
  /// The assistant's turn: what the prompt began it with, and the completion without special tokens.
  std::string_view text;
  std::span<const int64_t> ids;  // of the completion
  bool truncated = false;        // ended at the length limit
};

struct Score {
  double reward = 0.0;     // sum of weight times value; any real number
  double magnitude = 0.0;  // sum of their absolute values: what the rounding of `reward` is a share of
  /// Of the first term that compares with the gold answer; without one that of the first grader; else unparsable.
  verifier::Verdict verdict;
  std::vector<double> values = {};                           // of each term, in the order of RewardFunction::names()
  std::vector<std::pair<std::string, double>> metrics = {};  // figures of graders, as "<term>/<name>"
  std::string failure = {};  // "<term>: why": a value is not known, and so no reward; empty when all are

  bool failed() const { return !failure.empty(); }
};

/// Thread-safe.
class RewardFunction {
 public:
  virtual ~RewardFunction() = default;
  /// The terms' names.
  virtual std::vector<std::string> names() const = 0;
  /// How many batches it can score at the same time; more would wait for one another.
  virtual int concurrency() const { return 1; }
  /// Of every item, in their order. Throws base::Error when a grader failed whose failure ends the run.
  virtual std::vector<Score> score(std::span<const Item> items) const = 0;
};

/// Throws base::ConfigError when there is no term, two have one name, a pattern, a command or a url is missing or
/// misplaced, a pattern is malformed, or a grader cannot be started.
std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config);

}  // namespace grpo::reward
