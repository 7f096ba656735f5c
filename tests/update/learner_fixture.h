#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "grpo/update/update.h"
#include "support/named_tensors.h"

namespace grpo::update {

/// A model with an optimizer, as one rank or one of several. With an objective of values the model is a critic.
class LearnerFixture {
 public:
  struct OnRanks {
    dist::Communicator& communicator;
    optim::StateSharding sharding = optim::StateSharding::kNone;
    bool around_layers = true;  // the optimizer works beside the passes, as in training
  };
  LearnerFixture(const std::filesystem::path& model_folder, const Objective& objective,
                 const optim::OptimizerConfig& optimizer, int64_t tokens, const OnRanks* ranks = nullptr,
                 const std::vector<std::string>& frozen = {});

  Learner& learner() { return *learner_; }
  const Watch& watch() const { return watch_; }
  models::CausalLM& model() { return *model_; }
  TokenBudget& budget() { return budget_; }

  UpdateStats update(const Batch& batch) { return update_weights(*learner_, watch_, batch); }
  UpdateStats accumulate(const Batch& batch) { return accumulate_gradient(*learner_, watch_, batch); }

  /// Clones of every parameter, and of its gradient, which is then cleared.
  models::NamedTensors weights() const;
  models::NamedTensors take_gradients();

 private:
  std::unique_ptr<models::CausalLM> model_;
  std::unique_ptr<dist::Communicator> single_;
  std::unique_ptr<optim::Optimizer> optimizer_;
  TokenBudget budget_;
  Watch watch_{.name = "step 1"};
  std::unique_ptr<Learner> learner_;
};

/// Eight sequences of uneven lengths with advantages of either sign; those of prompt q are 2 q and 2 q + 1, as a
/// sampler that said -1 of each token made them. scale: 1 over their targets.
Batch uneven_batch(int64_t vocabulary);

/// With so large an eps the first update is nearly the gradient itself: weights after it can be compared.
optim::OptimizerConfig telling_optimizer();

/// 1 / number of targets.
double token_mean(const std::vector<Sequence>& sequences);

using testing::max_difference;

}  // namespace grpo::update
