#include "trainer/gradient_probe.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/zeros_like.h>

#include "grpo/base/error.h"
#include "trainer/sequences.h"

namespace grpo::trainer {

double dot(const Gradient& a, const Gradient& b) {
  double sum = 0.0;
  for (size_t i = 0; i < a.size(); ++i)
    sum += at::dot(a[i].flatten().to(at::kDouble), b[i].flatten().to(at::kDouble)).item<double>();
  return sum;
}

GradientProbe::GradientProbe(const models::CausalLM& model, const models::CausalLM* reference,
                             int64_t micro_batch_tokens)
    : model_(model),
      reference_(reference),
      communicator_(dist::make_communicator({.backend = dist::Backend::kSingle})),
      optimizer_(model.trained().parameters, {}),
      budget_(micro_batch_tokens) {
  GRPO_CHECK(model.dtype() == at::kFloat, "gradients are read from fp32 weights");
}

Gradient GradientProbe::gradient(const TrainConfig& config, const update::Batch& batch) {
  const update::Learner learner{.model = model_,
                                .reference = reference_,
                                .optimizer = optimizer_,
                                .communicator = *communicator_,
                                .budget = budget_,
                                .objective = objective_of(config),
                                .total_updates = 1,
                                .share_prompts = config.trainer.share_prompts};
  if (!batch.sequences.empty()) update::accumulate_gradient(learner, {.name = "gradient"}, batch);
  Gradient gradient;
  for (const auto& [name, weight] : model_.trained().parameters)
    gradient.push_back(weight.grad().defined() ? weight.grad().clone() : at::zeros_like(weight.detach()));
  optimizer_.zero_grad();
  return gradient;
}

}  // namespace grpo::trainer
