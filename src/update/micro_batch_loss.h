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

/// What an objective that compares sequences needs to know of the b sequences of a micro-batch and their k groups.
struct GroupInputs {
  std::vector<float> values;  // [b] the greater one is the better sequence
  at::Tensor weights;         // [k] double, the factor of each group's term in the loss
  at::Tensor reference;       // [b] double, log pi_ref summed over each sequence's targets; undefined: no reference
};

/// What the objective needs to know of each target of a micro-batch. All are [n] fp32 on the model's device.
struct TokenInputs {
  at::Tensor advantages;
  at::Tensor weights;              // the factor of each target's term in the loss
  at::Tensor sampler_log_probs;    // undefined where the sequences were not sampled
  at::Tensor old_log_probs;        // undefined where the policy has not changed since it sampled (then pi_old = pi)
  at::Tensor reference;            // log pi_ref; undefined without the KL term
  at::Tensor old_values, returns;  // with Objective::value, else undefined
  std::optional<GroupInputs> groups = {};  // with Objective::preference; weights above are not used then

  /// The inputs of the targets [begin, begin + size), without `groups`.
  TokenInputs slice(int64_t begin, int64_t size) const;
};

/// Gathers the inputs, and runs the reference model where the objective compares with one and its log-probs are not
/// known yet. scale: Batch::scale, or 1 where the gradient is multiplied by that later.
TokenInputs token_inputs(const Learner& learner, const std::vector<Sequence>& sequences, const MicroBatch& micro,
                         double scale);

/// The micro-batch's share of the update's loss, differentiable. Where a token's term depends on that token alone, the
/// log-probs are computed piece by piece. What the objective's terms measure is added to `sums`.
nn::HeadLoss micro_batch_loss(const Learner& learner, const MicroBatch& micro, const TokenInputs& inputs,
                              UpdateSums& sums);

/// What is measured of a micro-batch as a whole and not piece by piece: loss, entropy and kl/sampler.
std::vector<algo::Measure> measures_of(const TokenInputs& inputs, const nn::HeadLoss& head);

/// Everything that an objective measures, with the values of a batch without any target. It tells the names, in the
/// order of the metrics line, before anything has run.
std::vector<algo::Measure> measures_of_nothing(const Objective& objective);

/// The critic's value before each target is drawn, [n] fp32, with gradient unless the caller has turned that off.
at::Tensor target_values(const models::CausalLM& critic, const MicroBatch& micro);

/// log pi of each target under this model, [n] fp32, without gradient.
at::Tensor target_log_probs(const models::CausalLM& model, const MicroBatch& micro, const Objective& objective);

}  // namespace grpo::update
