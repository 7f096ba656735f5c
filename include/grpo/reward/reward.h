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
  kExact,      // 1 when the response equals the gold answer, apart from white space at the ends
  kNumeric,    // 1 when the last number of the response equals the gold answer
  kRegex,      // 1 when `pattern` matches somewhere in the response
  kFormat,     // 1 when the response ends its answer in a complete, non-empty \boxed{}
  kLength,     // the number of tokens of the completion; with a negative weight long answers cost
  kCommand,    // the answer of a program that gets one request per line (docs/rewards.md)
  kHttp,       // the answer of a server that gets the same requests as an array
  kCountdown,  // 1 when the answer uses each of the row's `nums` once and is worth the gold answer
};
inline std::vector<std::string> enum_names(TermType) {
  return {"math", "exact", "numeric", "regex", "format", "length", "command", "http", "countdown"};
}

/// What happens when a grader could not judge a completion: the run ends, or the completion is left out and counted.
enum class OnFailure { kStop, kLeaveOut };
inline std::vector<std::string> enum_names(OnFailure) { return {"stop", "leave_out"}; }

struct RewardTerm {
  TermType type = TermType::kMath;
  std::string name = {};  // used in reward/<name>/mean; empty: the name of the type
  double weight = 1.0;
  std::string pattern;  // of a regex term
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
      base::between(1, 1024));
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

/// The settings of the verifier (verifier::VerifierOptions) as config keys.
struct VerifierConfig {
  std::vector<std::string> fallbacks = enum_names(verifier::Fallback{});
  int64_t decimal_digits = 10;
  bool calculations = true;
  int64_t steps = 20000;
  GRPO_FIELDS(f) {
    f("fallbacks", fallbacks,
      "where to look for the answer of a response without a box, in this order; []: a box is demanded");
    f("decimal_digits", decimal_digits, "significant digits a decimal needs to stand for an exact value",
      base::at_least(1));
    f("calculations", calculations,
      "whether a stated answer may leave plain numbers to be calculated, as \\boxed{2\\cdot7} does for 14; in running "
      "text that never counts. false where problems are such calculations, and repeating one must not pay");
    f("steps", steps, "work budget of one comparison, about a microsecond each", base::at_least(1));
  }
};
/// Throws base::ConfigError on an unknown fallback.
verifier::VerifierOptions verifier_options(const VerifierConfig& config);

struct RewardConfig {
  std::vector<RewardTerm> terms = {RewardTerm{}};
  VerifierConfig verifier;
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

/// Whether a term asks other programs, by command or http.
bool uses_graders(const RewardConfig& config);

/// Whether a term reads keys of a problem's row that the config does not name, so that Item::row must be set.
bool needs_whole_rows(const RewardConfig& config);

/// Why some term cannot judge any completion of a problem with this gold answer and row; "" when all terms can.
std::string why_unfit(const RewardConfig& config, const std::string& gold, std::string_view row);

/// The reward that judges evaluations. It has a single term: the one called `judge` or, with "auto", the first that
/// compares with the gold answer, else the first grader, else math. Throws base::ConfigError when no term that
/// judges answers is called `judge`.
RewardConfig judge_of(const RewardConfig& config, const std::string& judge);

/// What the terms demand of a gold answer, the strictest of: an answer (math), a number (numeric), any text (exact,
/// countdown), nothing (other terms).
verifier::GoldUse gold_use(const RewardConfig& config);

/// One completion to score, with all that is known about it. The views must stay valid during the call.
struct Item {
  std::string_view problem;            // the problem's id
  std::span<const std::string> golds;  // all of them are right; at least one, which may be empty
  std::string_view fields;             // the keys in data.extra_keys as a JSON object; empty if there are none
  std::string_view row;                // the whole row as a JSON object if needs_whole_rows(), else empty
  std::string_view prompt;             // the text that the policy saw
  std::span<const int64_t> prompt_ids;
  int64_t sample = 0;  // the completion's number in its group
  /// The policy's turn: the beginning of the answer that the prompt contains, if any, and the
  /// completion without special tokens.
  std::string_view text;
  std::span<const int64_t> ids;  // the completion's tokens
  bool truncated = false;        // the completion ended at the length limit
};

struct Score {
  double reward = 0.0;     // the weighted sum of the terms' values; any real number
  double magnitude = 0.0;  // the sum of |weight * value|, to which rounding errors of `reward` are relative
  /// The verdict of the first term that compares with the gold answer, else of the first grader, else "unparsable".
  verifier::Verdict verdict;
  double judged = 0.0;                                       // the value of that term, without its weight
  std::vector<double> values = {};                           // one per term, in the order of RewardFunction::names()
  std::vector<std::pair<std::string, double>> metrics = {};  // metrics of graders, named "<term>/<name>"
  // "<term>: why" when the value of a term, and so the reward, is not known; else empty.
  std::string failure = {};

  bool failed() const { return !failure.empty(); }
};

/// Scores completions. Thread-safe.
class RewardFunction {
 public:
  virtual ~RewardFunction() = default;
  virtual std::vector<std::string> names() const = 0;
  /// How many batches can be scored at the same time; more than these would wait for one another.
  virtual int concurrency() const { return 1; }
  /// The scores of all items, in their order. Throws base::Error when a grader failed and its on_failure is kStop.
  virtual std::vector<Score> score(std::span<const Item> items) const = 0;
  /// What the judging term says (Score::verdict, judged), for evaluations: the other terms are not asked, and cannot
  /// fail. The reward is that term's part alone.
  virtual std::vector<Score> judge(std::span<const Item> items) const { return score(items); }
  /// Tells graders that their answers are not wanted any more, for a run that ends: calls of score() that wait for
  /// them, and later ones, throw base::Error soon. Any thread may call it.
  virtual void cancel() const {}
};

/// Makes the reward. Throws base::ConfigError when there is no term, two terms have the same name, a pattern, command
/// or url is missing, a term has a key that only another type uses, a pattern is malformed, or a grader cannot be
/// started.
std::unique_ptr<RewardFunction> make_reward(const RewardConfig& config);

}  // namespace grpo::reward
