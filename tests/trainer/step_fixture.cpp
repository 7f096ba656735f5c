#include "trainer/step_fixture.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>

#include "grpo/base/error.h"
#include "trainer/layer_hooks.h"

namespace grpo::trainer {

StepFixture::StepFixture(const std::filesystem::path& model_folder, TrainConfig config, const OnRanks* ranks) : config_(std::move(config)) {
  policy_.folder = model_folder;
  policy_.model = models::CausalLM::load(model_folder, at::kFloat, at::kCPU);
  engine_ = std::make_unique<rollout::Engine>(*policy_.model, rollout::EngineConfig{});
  reward_ = reward::make_reward(config_.reward);
  if (ranks == nullptr) single_ = dist::make_communicator(config_.distributed);
  communicator_ = ranks == nullptr ? single_.get() : &ranks->communicator;
  optim::AdamWOptions options{.communicator = communicator_, .layers = policy_.model->parameter_layers()};
  if (ranks != nullptr) options.sharding = ranks->sharding;
  optimizer_ = std::make_unique<optim::AdamW>(policy_.model->parameters(), config_.optimizer, options);
  if (ranks != nullptr && ranks->around_layers) policy_.model->set_layer_hooks(layer_hooks(*optimizer_));
}

StepContext StepFixture::context() {
  return {.config = config_,
          .policy = policy_,
          .reference = nullptr,
          .engine = *engine_,
          .reward = *reward_,
          .optimizer = *optimizer_,
          .communicator = *communicator_,
          .total_updates = 100,
          .should_stop = {}};
}

models::NamedTensors StepFixture::take_gradients() {
  models::NamedTensors gradients;
  for (const auto& [name, parameter] : policy_.model->parameters()) {
    gradients.emplace_back(name, parameter.grad().defined() ? parameter.grad().clone() : at::zeros_like(parameter));
    if (parameter.grad().defined()) parameter.grad().zero_();
  }
  return gradients;
}

std::vector<size_t> all_rollouts(const RolloutBatch& batch) {
  std::vector<size_t> indices(batch.rollouts.size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

double max_difference(const models::NamedTensors& a, const models::NamedTensors& b) {
  GRPO_CHECK(a.size() == b.size(), a.size(), " tensors against ", b.size());
  double largest = 0.0;
  for (size_t i = 0; i < a.size(); ++i) {
    GRPO_CHECK(a[i].first == b[i].first, a[i].first, " against ", b[i].first);
    largest = std::max(largest, (a[i].second - b[i].second).abs().max().item<double>());
  }
  return largest;
}

}  // namespace grpo::trainer
