#pragma once

#include <filesystem>
#include <memory>

#include "grpo/dist/communicator.h"
#include "grpo/trainer/grpo_step.h"
#include "support/named_tensors.h"

namespace grpo::trainer {

/// A model with the optimizer and everything else a StepContext needs, for tests of updates on given rollouts.
class StepFixture {
 public:
  /// Makes the fixture one of several ranks.
  struct OnRanks {
    dist::Communicator& communicator;
    optim::StateSharding sharding = optim::StateSharding::kNone;
    bool around_layers = true;  // the optimizer works around the layers of passes, as in training
  };
  StepFixture(const std::filesystem::path& model_folder, TrainConfig config, const OnRanks& ranks);
  StepFixture(const std::filesystem::path& model_folder, TrainConfig config, at::ScalarType dtype = at::kFloat,
              at::Device device = at::kCPU, const OnRanks* ranks = nullptr);

  StepContext context();

  /// What an update on all of the batch's rollouts learns from. With algorithm.old_logprobs: sampler the old log-probs
  /// are the sampler's; else there are none, so that the old policy is the one that trains.
  update::Batch learned(const RolloutBatch& batch);
  UpdateStats update(const RolloutBatch& batch);
  UpdateStats accumulate(const RolloutBatch& batch);

  update::TokenBudget& budget() { return budget_; }
  Policy& policy() { return policy_; }
  TrainConfig& config() { return config_; }

  /// Returns clones of every parameter's gradient, by name, and clears the gradients.
  models::NamedTensors take_gradients();

 private:
  TrainConfig config_;
  Policy policy_;
  std::unique_ptr<rollout::Engine> engine_;
  std::unique_ptr<reward::RewardFunction> reward_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  std::unique_ptr<dist::Communicator> single_;
  dist::Communicator* communicator_ = nullptr;
  update::TokenBudget budget_;
};

/// Six prompts with groups of two; the second and fifth are tied. Lengths differ.
RolloutBatch pairs_of_rollouts(int64_t vocabulary);

/// All rollouts of a batch, as one mini-batch.
std::vector<size_t> all_rollouts(const RolloutBatch& batch);

using testing::max_difference;

}  // namespace grpo::trainer
