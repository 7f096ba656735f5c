#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "grpo/nn/lm_head.h"
#include "grpo/update/learner.h"
#include "update/micro_batch.h"
#include "update/update_sums.h"

namespace grpo::update {

/// What the objective needs of each target of a micro-batch; [n] fp32 each, on the model's device.
struct TokenInputs {
  at::Tensor advantages;
  at::Tensor weights;            // of the target's term in the loss
  at::Tensor sampler_log_probs;  // undefined when nobody sampled
  at::Tensor old_log_probs;      // undefined when the policy that sampled is the one that trains (then pi_old = pi)
  at::Tensor reference;          // log-probs of the reference; undefined without the KL term

  TokenInputs slice(int64_t begin, int64_t size) const;
};

/// scale: Batch::scale, or 1 where it is applied to the gradient later. Runs the reference model when the
/// KL term is on.
TokenInputs token_inputs(const Learner& learner, const std::vector<Sequence>& sequences, const MicroBatch& micro,
                         double scale);

/// The micro-batch's share of the update's loss, differentiable. What the objective's terms measure goes into `sums`,
/// piece by piece.
nn::HeadLoss micro_batch_loss(const Learner& learner, const MicroBatch& micro, const TokenInputs& inputs,
                              UpdateSums& sums);

/// What is measured of a micro-batch as a whole: loss, entropy, kl/sampler.
std::vector<algo::Measure> measures_of(const TokenInputs& inputs, const nn::HeadLoss& head);

/// All that an objective measures, on no target: the names, in the order of the metrics line.
std::vector<algo::Measure> measures_of_nothing(const Objective& objective);

/// log pi of every target, [n] fp32, without gradient.
at::Tensor target_log_probs(const models::CausalLM& model, const MicroBatch& micro, const Objective& objective);

}  // namespace grpo::update
