#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/reward/reward.h"
#include "grpo/rollout/engine.h"
#include "grpo/tokenizer/tokenizer.h"
#include "grpo/trainer/answer_store.h"
#include "grpo/trainer/eval_metrics.h"
#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// One data set to evaluate on.
struct EvalSet {
  std::string name;  // the file's name without ending; the random numbers of its samples are keyed by it
  std::vector<Prompt> prompts;
};

struct EvalResult {
  std::string name;
  int64_t samples = 0;     // k, completions a problem
  double mean_at_k = 0.0;  // share of right completions
  double pass_at_k = 0.0;  // share of problems with a right completion among k (eval_metrics.h)
  /// Share of problems whose majority vote is right (eval_metrics.h). Where the judge is a grader, which reads no
  /// answer, all wrong answers are one class.
  double maj_at_k = 0.0;
  Interval mean_interval;  // 95 % bootstrap intervals over problems
  Interval maj_interval;
  int64_t truncated = 0;                               // completions cut at the length limit
  std::vector<std::pair<int64_t, double>> pass_curve;  // (k', pass@k') for k' = 1, 2, 4, ..., k
  std::vector<Interval> pass_intervals;                // one for each point of pass_curve
  std::optional<double> greedy;                        // accuracy at temperature 0, where asked for
  Interval greedy_interval;
  std::optional<double> value;  // mean of what a grader gave, of the samples that it could judge
  Interval value_interval;

  /// eval/<name>/mean@<k>, pass@<k>, maj@<k>, ci_low, ci_high (of mean@k), greedy where asked for, and value,
  /// value_ci_low, value_ci_high where a grader judges
  std::vector<std::pair<std::string, double>> metrics() const;
};

/// How far an evaluation has come on this rank, in completions: those that are sampled or were known, and all.
struct EvalProgress {
  int64_t done = 0;
  int64_t total = 0;
};

struct EvalContext {
  rollout::Engine* engine = nullptr;
  const tokenizer::Tokenizer* tokenizer = nullptr;
  rollout::GenerationOptions generation;
  int64_t samples = 1;
  bool greedy = false;  // one more completion a problem at temperature 0
  uint64_t seed = 0;
  std::function<bool()> should_stop;
  std::function<void(const EvalProgress&)> on_progress;  // after each problem, on the calling thread
  const reward::RewardFunction* judge = nullptr;         // its verdicts say which answers are right
  bool graded = false;                         // the judge is a grader, whose values are more than right and wrong
  dist::Communicator* communicator = nullptr;  // ranks that share the problems; null: this process alone
  AnswerStore* answers = nullptr;  // completions that need not be sampled again; null: none, as with several ranks
};

/// Samples every problem of every set `samples` times in one run of the engine and has the answers judged. Random
/// numbers are keyed by seed, set and problem, so that the same seed and weights draw the same ones at any step and
/// beside any other set. Per-problem results go to outputs[set] (JSONL: id, prompt, gold, right, samples, greedy) where
/// that is not empty. A collective: every rank gets the whole result. Returns nothing when should_stop ended it, on any
/// rank.
std::vector<EvalResult> evaluate(const std::vector<EvalSet>& sets, const EvalContext& context,
                                 const std::vector<std::filesystem::path>& outputs);

}  // namespace grpo::trainer
