#include "trainer/kl_penalty.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "grpo/algo/kl.h"
#include "trainer/sum_over_ranks.h"

namespace grpo::trainer {
namespace {

double kl_of(const update::Sequence& sequence, algo::KlEstimator estimator) {
  return algo::kl_penalty(at::tensor(sequence.sampler_log_probs), at::tensor(sequence.reference_log_probs), estimator)
      .sum(at::kDouble)
      .item<double>();
}

}  // namespace

double set_kl_penalties(const StepContext& context, RolloutBatch& batch) {
  const KlConfig& config = context.config.algorithm.kl;
  std::vector<update::Sequence> sequences;
  double tokens = 0.0;
  for (const Rollout& rollout : batch.rollouts) {
    sequences.push_back(update::sequence_of(batch.prompts[rollout.prompt].ids, rollout.completion.ids));
    sequences.back().sampler_log_probs = rollout.completion.log_probs;
    tokens += static_cast<double>(rollout.completion.ids.size());
  }
  update::set_reference_log_probs(context.learner, watch_of(context), sequences);
  std::vector<double> sums;  // 0 for the rollouts of which another rank has the reference's log-probs
  for (const auto& sequence : sequences)
    sums.push_back(sequence.reference_log_probs.empty() ? 0.0 : kl_of(sequence, config.estimator));
  sums = sum_over_ranks(sums, context.learner.communicator);
  double sum = 0.0;
  for (size_t i = 0; i < sums.size(); ++i) {
    batch.rollouts[i].kl = config.coef * sums[i];
    sum += sums[i];
  }
  return sum / std::max(tokens, 1.0);
}

}  // namespace grpo::trainer
