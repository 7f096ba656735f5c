#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/reward/reward.h"
#include "grpo/rollout/engine.h"
#include "grpo/tokenizer/tokenizer.h"
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
  double ci_low = 0.0;  // 95 % bootstrap interval of mean@k over problems
  double ci_high = 0.0;
  int64_t truncated = 0;  // completions cut at the length limit
  bool stopped = false;   // should_stop ended it, on any rank: nothing else is set
  std::vector<std::pair<int64_t, double>> pass_curve;  // (k', pass@k') for k' = 1, 2, 4, ..., k

  /// eval/<name>/mean@<k>, pass@<k>, maj@<k>, ci_low, ci_high
  std::vector<std::pair<std::string, double>> metrics() const;
};

struct EvalContext {
  rollout::Engine* engine = nullptr;
  const tokenizer::Tokenizer* tokenizer = nullptr;
  rollout::SamplingConfig sampling;
  int64_t samples = 1;
  uint64_t seed = 0;
  std::function<bool()> should_stop;
  reward::VerifierConfig verifier = {};
  dist::Communicator* communicator = nullptr;  // ranks that share the problems; null: this process alone
};

/// Samples every problem `samples` times and verifies the answers with the math verifier. The same seed and weights give
/// the same numbers at any step. Per-problem results go to `output` (JSONL: id, problem, gold, answers, verdicts, right)
/// when it is not empty. A collective: every rank gets the whole result.
EvalResult evaluate(const EvalSet& set, const EvalContext& context, const std::filesystem::path& output);

}  // namespace grpo::trainer
