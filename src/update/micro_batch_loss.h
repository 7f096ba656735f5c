#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "grpo/nn/lm_head.h"
#include "grpo/update/learner.h"
#include "update/micro_batch.h"
#include "update/update_sums.h"

namespace grpo::update {

/// What an objective that compares sequences needs to know of the b of a micro-batch and their k groups.
struct GroupInputs {
  std::vector<float> values;  // [b]
  at::Tensor weights;         // [k] double, of the group's term in the loss
  at::Tensor reference;       // [b] double, log pi_ref of all its targets; undefined: compared without one
};

/// What the objective needs to know of each target of a micro-batch. All are [n] fp32 on the model's device.
struct TokenInputs {
  at::Tensor advantages;
  at::Tensor weights;              // of the target's term in the loss
  at::Tensor sampler_log_probs;    // undefined when nobody sampled
  at::Tensor old_log_probs;        // undefined when the policy that sampled is the one that trains (then pi_old = pi)
  at::Tensor reference;            // log-probs of the reference; undefined without the KL term
  at::Tensor old_values, returns;  // with Objective::value
  std::optional<GroupInputs> groups = {};  // with Objective::preference; weights above are not used then

  TokenInputs slice(int64_t begin, int64_t size) const;
};

/// Gathers the inputs, and runs the reference model where the objective compares with it. scale: Batch::scale, or 1
/// where the gradient is multiplied by it later.
TokenInputs token_inputs(const Learner& learner, const std::vector<Sequence>& sequences, const MicroBatch& micro,
                         double scale);

/// The micro-batch's share of the update's loss, differentiable. The log-probs are computed piece by piece; what the
/// objective's terms measure of each piece is added to `sums`.
nn::HeadLoss micro_batch_loss(const Learner& learner, const MicroBatch& micro, const TokenInputs& inputs,
                              UpdateSums& sums);

/// What is measured of a micro-batch as a whole rather than piece by piece: loss, entropy and kl/sampler.
std::vector<algo::Measure> measures_of(const TokenInputs& inputs, const nn::HeadLoss& head);

/// Everything that an objective measures, as it would be on no target at all. It gives the names, in the order of the
/// metrics line, before anything has run.
std::vector<algo::Measure> measures_of_nothing(const Objective& objective);

/// The critic's value before every target, [n] fp32.
at::Tensor target_values(const models::CausalLM& critic, const MicroBatch& micro);

/// log pi of every target, [n] fp32, without gradient.
at::Tensor target_log_probs(const models::CausalLM& model, const MicroBatch& micro, const Objective& objective);

}  // namespace grpo::update
