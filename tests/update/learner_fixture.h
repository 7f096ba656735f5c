#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "grpo/update/update.h"
#include "support/named_tensors.h"

namespace grpo::update {

/// A model with an optimizer, on one rank alone or on one of several. With Objective::value the model is a critic.
class LearnerFixture {
 public:
  struct OnRanks {
    dist::Communicator& communicator;
    optim::StateSharding sharding = optim::StateSharding::kNone;
    bool around_layers = true;  // the optimizer works around the layers of passes, as in training
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

  /// Clones of every parameter, and of every parameter's gradient. take_gradients() clears the gradients.
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

/// Eight sequences of uneven lengths with advantages of either sign; those of prompt q are 2 q and 2 q + 1. The
/// sampler's log-prob of each token is -1. The scale is 1 / the number of targets.
Batch uneven_batch(int64_t vocabulary);

/// An optimizer with so large an eps that the first update is nearly the gradient itself, so that a comparison of
/// weights after it compares gradients.
optim::OptimizerConfig telling_optimizer();

/// The scale of a mean over tokens: 1 / the number of targets.
double token_mean(const std::vector<Sequence>& sequences);

using testing::max_difference;

}  // namespace grpo::update
