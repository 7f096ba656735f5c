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
  std::string name;  // the file's stem; the stream of its random numbers
  std::vector<Prompt> prompts;
};

struct EvalResult {
  std::string name;
  int64_t samples = 0;  // k
  double mean_at_k = 0.0;
  double pass_at_k = 0.0;
  double maj_at_k = 0.0;
  Interval mean_interval;  // 95 % bootstrap intervals over problems
  Interval maj_interval;
  int64_t truncated = 0;                               // completions cut at the length limit
  std::vector<std::pair<int64_t, double>> pass_curve;  // (k', pass@k') for k' = 1, 2, 4, ..., k
  std::vector<Interval> pass_intervals;                // of pass_curve
  std::optional<double> greedy;                        // accuracy at temperature 0, where asked for
  Interval greedy_interval;
  std::optional<double> value;  // mean of what a grader gave, of the samples that it could judge
  Interval value_interval;

  /// eval/<name>/mean@<k>, pass@<k>, maj@<k>, ci_low, ci_high (of mean@k), greedy where asked for, and value,
  /// value_ci_low, value_ci_high where a grader judges
  std::vector<std::pair<std::string, double>> metrics() const;
};

/// How far an evaluation has come: the number of this process's completions that need no more sampling, and of all it
/// needs.
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
  const reward::RewardFunction* judge = nullptr;         // its verdict says which answers are right
  bool graded = false;                         // the judge is a grader, whose values are more than right and wrong
  dist::Communicator* communicator = nullptr;  // ranks that share the problems; null: this process alone
  AnswerStore* answers = nullptr;  // completions of earlier runs, which are not sampled again; this process alone
};

/// Samples every problem of every set `samples` times in one run of the engine and has the answers
/// judged. The same seed and weights give the same numbers at any step and beside any other set. Per-problem results
/// go to outputs[set] (JSONL: id, prompt, gold, right, samples, greedy) where it is not empty. A collective: every rank
/// gets the whole result. Empty when should_stop ended it, on any rank.
std::vector<EvalResult> evaluate(const std::vector<EvalSet>& sets, const EvalContext& context,
                                 const std::vector<std::filesystem::path>& outputs);

}  // namespace grpo::trainer
