#pragma once

#include <ATen/core/Tensor.h>

#include "grpo/nn/lm_head.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/micro_batch.h"
#include "trainer/update_sums.h"

namespace grpo::trainer {

/// What the objective needs of each completion token of a micro-batch; [n] fp32 each, on the model's device.
struct TokenInputs {
  at::Tensor advantages;
  at::Tensor weights;            // of the token's term in the loss
  at::Tensor sampler_log_probs;
  at::Tensor old_log_probs;      // undefined when the policy that sampled is the one that trains (then pi_old = pi)
  at::Tensor reference;          // log-probs of the reference; undefined without the KL term

  TokenInputs slice(int64_t begin, int64_t size) const;
};

/// scale: algo::loss_scale of the update batch, or 1 where it is applied to the gradient later. Runs the reference model when the
/// KL term is on.
TokenInputs token_inputs(const StepContext& context, const RolloutBatch& batch, const MicroBatch& micro, double scale);

/// The micro-batch's share of the update's loss, differentiable. Ratios and clipping are measured into `sums`.
nn::HeadLoss micro_batch_loss(const StepContext& context, const MicroBatch& micro, const TokenInputs& inputs, UpdateSums& sums);

/// log pi of every completion token, [n] fp32, without gradient.
at::Tensor completion_log_probs(const models::CausalLM& model, const MicroBatch& micro, const TrainConfig& config);

}  // namespace grpo::trainer
