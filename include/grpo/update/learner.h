#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "grpo/dist/communicator.h"
#include "grpo/models/causal_lm.h"
#include "grpo/optim/optimizer.h"
#include "grpo/update/objective.h"
#include "grpo/update/share_prompts.h"
#include "grpo/update/token_budget.h"

namespace grpo::update {

/// The model that learns and everything that an update of it needs. All that it refers to must outlive it.
struct Learner {
  const models::CausalLM& model;
  const models::CausalLM* reference = nullptr;  // needed where the objective compares with a reference; else null
  optim::Optimizer& optimizer;                  // of the model's parameters
  dist::Communicator& communicator;
  TokenBudget& budget;
  Objective objective;
  int64_t total_updates = 0;  // updates of the whole run, which the learning rate's schedule needs to know
  SharePrompts share_prompts = SharePrompts::kFalse;  // trainer.share_prompts
};

/// How far an update has come on this rank.
struct Progress {
  int64_t done = 0;    // micro-batches that have run
  int64_t total = 0;   // micro-batches of the update, as far as they are known
  int64_t tokens = 0;  // targets of the micro-batches that have run
};

/// Lets the caller follow an update while it runs, and stop it. should_stop is set on all ranks or on none.
struct Watch {
  std::string name;                        // begins messages, as "step 3"
  std::function<bool()> should_stop = {};  // asked between micro-batches: true drops the update, on all ranks
  std::function<void(const Progress&)> on_progress = {};  // called after each micro-batch, on the caller's thread
};

}  // namespace grpo::update
