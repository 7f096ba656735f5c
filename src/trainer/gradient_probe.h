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

/// A gradient as a step's update would have it before clipping: one fp32 tensor on the model's device for each trained
/// weight, in the model's order.
using Gradient = std::vector<at::Tensor>;

/// <a, b> over all elements, in double.
double dot(const Gradient& a, const Gradient& b);

/// Computes gradients at a model's weights and changes nothing.
class GradientProbe {
 public:
  /// model: fp32, one process; it outlives the probe. reference: where objectives need one, else null.
  GradientProbe(const models::CausalLM& model, const models::CausalLM* reference, int64_t micro_batch_tokens);

  /// Of the objective that a configuration asks for; all zeros where the batch is empty.
  Gradient gradient(const TrainConfig& config, const update::Batch& batch);

 private:
  const models::CausalLM& model_;
  const models::CausalLM* reference_;
  std::unique_ptr<dist::Communicator> communicator_;
  optim::Optimizer optimizer_;  // its gradient sums; it never takes a step
  update::TokenBudget budget_;
};

}  // namespace grpo::trainer
