#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/optim/optimizer.h"
#include "grpo/trainer/train_config.h"
#include "grpo/update/update.h"

namespace grpo::trainer {

/// The gradient that an update would have before clipping: one fp32 tensor on the model's device for each trained
/// weight, in the model's order.
using Gradient = std::vector<at::Tensor>;

/// The scalar product of two gradients over all elements, in double.
double dot(const Gradient& a, const Gradient& b);

/// Computes gradients at a model's weights without changing them.
class GradientProbe {
 public:
  /// model: with fp32 weights, of this process alone. reference: null if no objective needs one. Both must outlive the
  /// probe.
  GradientProbe(const models::CausalLM& model, const models::CausalLM* reference, int64_t micro_batch_tokens);

  /// The gradient of the objective that a configuration asks for; all zeros where the batch has no sequence.
  Gradient gradient(const TrainConfig& config, const update::Batch& batch);

 private:
  const models::CausalLM& model_;
  const models::CausalLM* reference_;
  std::unique_ptr<dist::Communicator> communicator_;
  optim::Optimizer optimizer_;  // only its gradient sums are used: it never takes a step
  update::TokenBudget budget_;
};

}  // namespace grpo::trainer
