#include "trainer/step_fixture.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <numeric>

#include "grpo/base/error.h"
#include "grpo/base/random.h"
#include "grpo/update/layer_hooks.h"
#include "trainer/sequences.h"

namespace grpo::trainer {

StepFixture::StepFixture(const std::filesystem::path& model_folder, TrainConfig config, const OnRanks& ranks)
    : StepFixture(model_folder, std::move(config), at::kFloat, at::kCPU, &ranks) {}

StepFixture::StepFixture(const std::filesystem::path& model_folder, TrainConfig config, at::ScalarType dtype,
                         at::Device device, const OnRanks* ranks)
    : config_(std::move(config)), budget_(config_.trainer.micro_batch_tokens) {
  at::set_num_threads(1);  // the models are tiny: more threads would wait for each other
  policy_.folder = model_folder;
  policy_.model = models::CausalLM::load(model_folder, dtype, device);
  engine_ = std::make_unique<rollout::Engine>(*policy_.model, rollout::EngineOptions{});
  reward_ = reward::make_reward(config_.reward);
  if (ranks == nullptr) single_ = dist::make_communicator(config_.distributed);
  communicator_ = ranks == nullptr ? single_.get() : &ranks->communicator;
  optim::OptimizerOptions options{.communicator = communicator_, .layers = policy_.model->parameter_layers()};
  if (ranks != nullptr) options.sharding = ranks->sharding;
  optimizer_ = std::make_unique<optim::Optimizer>(policy_.model->parameters(), config_.optimizer, options);
  if (ranks != nullptr && ranks->around_layers) policy_.model->set_layer_hooks(update::layer_hooks(*optimizer_));
}

StepContext StepFixture::context() {
  return {.config = config_,
          .policy = policy_,
          .engine = *engine_,
          .reward = *reward_,
          .learner = {.model = *policy_.model,
                      .reference = nullptr,
                      .optimizer = *optimizer_,
                      .communicator = *communicator_,
                      .budget = budget_,
                      .objective = objective_of(config_),
                      .total_updates = 100,
                      .share_prompts = config_.trainer.share_prompts},
          .should_stop = {}};
}

update::Batch StepFixture::learned(const RolloutBatch& batch) {
  auto learned = batch_of(config_, batch, all_rollouts(batch));
  if (config_.algorithm.old_logprobs == OldLogProbs::kSampler) {
    for (auto& sequence : learned.sequences) sequence.old_log_probs = sequence.sampler_log_probs;
  }
  return learned;
}

UpdateStats StepFixture::update(const RolloutBatch& batch) {
  const auto context = this->context();
  return update::update_weights(context.learner, watch_of(context), learned(batch));
}

UpdateStats StepFixture::accumulate(const RolloutBatch& batch) {
  const auto context = this->context();
  return update::accumulate_gradient(context.learner, watch_of(context), learned(batch));
}

models::NamedTensors StepFixture::take_gradients() {
  models::NamedTensors gradients;
  for (const auto& [name, parameter] : policy_.model->parameters()) {
    gradients.emplace_back(name, parameter.grad().defined() ? parameter.grad().clone() : at::zeros_like(parameter));
    if (parameter.grad().defined()) parameter.grad().zero_();
  }
  return gradients;
}

RolloutBatch pairs_of_rollouts(int64_t vocabulary) {
  const base::RandomKey key{11, base::stream_id("update test")};
  RolloutBatch batch;
  batch.group_offsets = {0};
  for (uint64_t q = 0; q < 6; ++q) {
    Prompt prompt;
    for (uint32_t t = 0; t < 3 + q; ++t) {
      prompt.ids.push_back(static_cast<int64_t>(base::uniform_below(key, q, t, static_cast<uint64_t>(vocabulary))));
    }
    batch.prompts.push_back(prompt);
    for (uint64_t g = 0; g < 2; ++g) {
      Rollout rollout;
      rollout.prompt = q;
      rollout.sample = static_cast<int64_t>(g);
      for (uint32_t t = 0; t < 1 + (5 * q + 7 * g) % 12; ++t) {
        rollout.completion.ids.push_back(
            static_cast<int64_t>(base::uniform_below(key, 100 + 2 * q + g, t, static_cast<uint64_t>(vocabulary))));
        rollout.completion.log_probs.push_back(-1.0f);
      }
      const bool tied = q == 1 || q == 4;
      rollout.score.reward = tied ? 1.0 : static_cast<double>(g);
      batch.rollouts.push_back(rollout);
    }
    batch.group_offsets.push_back(static_cast<int64_t>(batch.rollouts.size()));
  }
  return batch;
}

std::vector<size_t> all_rollouts(const RolloutBatch& batch) {
  std::vector<size_t> indices(batch.rollouts.size());
  std::iota(indices.begin(), indices.end(), size_t{0});
  return indices;
}

}  // namespace grpo::trainer
