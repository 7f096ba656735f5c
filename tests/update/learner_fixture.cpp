#include "update/learner_fixture.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/update/layer_hooks.h"

namespace grpo::update {

LearnerFixture::LearnerFixture(const std::filesystem::path& model_folder, const Objective& objective,
                               const optim::OptimizerConfig& optimizer, int64_t tokens, const OnRanks* ranks,
                               const std::vector<std::string>& frozen)
    : budget_(tokens) {
  at::set_num_threads(1);  // the models are tiny: more threads would wait for each other
  model_ = models::CausalLM::load(model_folder, at::kFloat, at::kCPU, {.value_head = objective.value.has_value()});
  model_->freeze(frozen);
  auto trained = model_->trained();
  if (ranks == nullptr) single_ = dist::make_communicator({.backend = dist::Backend::kSingle});
  dist::Communicator& communicator = ranks == nullptr ? *single_ : ranks->communicator;
  optim::OptimizerOptions options{.communicator = &communicator, .layers = trained.layers};
  if (ranks != nullptr) options.sharding = ranks->sharding;
  optimizer_ = std::make_unique<optim::Optimizer>(std::move(trained.parameters), optimizer, options);
  if (ranks != nullptr && ranks->around_layers) model_->set_layer_hooks(layer_hooks(*optimizer_));
  learner_.reset(new Learner{.model = *model_,
                             .reference = nullptr,
                             .optimizer = *optimizer_,
                             .communicator = communicator,
                             .budget = budget_,
                             .objective = objective,
                             .total_updates = 100});
}

models::NamedTensors LearnerFixture::weights() const {
  models::NamedTensors weights;
  for (const auto& [name, parameter] : model_->parameters()) weights.emplace_back(name, parameter.detach().clone());
  return weights;
}

models::NamedTensors LearnerFixture::take_gradients() {
  models::NamedTensors gradients;
  for (const auto& [name, parameter] : model_->parameters()) {
    gradients.emplace_back(name, parameter.grad().defined() ? parameter.grad().clone() : at::zeros_like(parameter));
    if (parameter.grad().defined()) parameter.grad().zero_();
  }
  return gradients;
}

optim::OptimizerConfig telling_optimizer() {
  optim::OptimizerConfig config;
  config.lr = 1.0;
  config.eps = 1.0;
  config.warmup_updates = 0;
  config.weight_decay = 0.0;
  config.clip_grad_norm = std::nullopt;
  return config;
}

double token_mean(const std::vector<Sequence>& sequences) {
  int64_t targets = 0;
  for (const auto& sequence : sequences)
    targets += std::count(sequence.targets.begin(), sequence.targets.end(), uint8_t{1});
  return 1.0 / static_cast<double>(targets);
}

Batch uneven_batch(int64_t vocabulary) {
  const base::RandomKey key{11, base::stream_id("update test")};
  const auto draw = [&](uint64_t a, uint32_t b) {
    return static_cast<int64_t>(base::uniform_below(key, a, b, static_cast<uint64_t>(vocabulary)));
  };
  Batch batch;
  for (uint64_t q = 0; q < 4; ++q) {
    std::vector<int64_t> prompt;
    for (uint32_t t = 0; t < 3 + q; ++t) prompt.push_back(draw(q, t));
    for (uint64_t g = 0; g < 2; ++g) {
      std::vector<int64_t> completion;
      for (uint32_t t = 0; t < 1 + (5 * q + 7 * g) % 12; ++t) completion.push_back(draw(100 + 2 * q + g, t));
      auto sequence = sequence_of(prompt, completion);
      sequence.advantages = {g == 0 ? -1.0f : 1.0f};
      sequence.sampler_log_probs.assign(completion.size(), -1.0f);
      batch.sequences.push_back(std::move(sequence));
    }
  }
  batch.scale = token_mean(batch.sequences);
  return batch;
}

}  // namespace grpo::update
