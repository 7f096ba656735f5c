#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "grpo/dist/communicator.h"
#include "grpo/models/causal_lm.h"
#include "grpo/optim/optimizer.h"
#include "grpo/update/objective.h"
#include "grpo/update/token_budget.h"

namespace grpo::update {

/// The model that learns and everything that an update of it needs. All that it refers to must outlive it.
struct Learner {
  const models::CausalLM& model;
  const models::CausalLM* reference = nullptr;  // the objective's KL term needs it
  optim::Optimizer& optimizer;                  // of the model's parameters
  dist::Communicator& communicator;
  TokenBudget& budget;
  Objective objective;
  int64_t total_updates = 0;  // updates of the whole run, which the learning rate's schedule needs to know
};

/// How far an update has come on this rank.
struct Progress {
  int64_t done = 0;  // micro-batches
  int64_t total = 0;
  int64_t tokens = 0;  // targets that were trained
};

/// Those who watch while an update runs: it tells them how far it is, and they may ask it to stop.
struct Watch {
  std::string name;                        // in messages, as "step 3"
  std::function<bool()> should_stop = {};  // asked between micro-batches: true drops the update, on all ranks
  std::function<void(const Progress&)> on_progress = {};  // after each micro-batch, on the thread that called
};

}  // namespace grpo::update
