#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/optim/optimizer.h"
#include "grpo/reward/reward.h"
#include "grpo/rollout/engine.h"
#include "grpo/trainer/evaluate.h"
#include "grpo/trainer/policy.h"
#include "grpo/trainer/train_config.h"
#include "grpo/update/learner.h"
#include "trainer/methods/dpo.h"
#include "trainer/methods/method.h"

namespace grpo::trainer {

/// Everything that a run trains with, made from its configuration. Later members refer to earlier ones, so a Run is
/// never moved.
struct Run {
  const TrainConfig& config;
  dist::Communicator& communicator;
  Policy policy;
  // For KL and method online_dpo, else null: the start weights, or newer ones with kl.sync_every.
  std::unique_ptr<models::CausalLM> reference;
  std::vector<Prompt> prompts;
  std::vector<std::vector<int64_t>> completions;  // method sft: the written completion of each prompt
  WrittenPairs pairs;                             // method dpo: the written pair of each prompt
  std::vector<ReferencePair> references;          // method dpo: the reference's log-probs of each pair
  std::vector<EvalSet> eval_sets;
  nlohmann::json inputs;  // fingerprints of what the run reads (run_inputs.h)
  std::shared_ptr<reward::RewardFunction> reward;
  std::shared_ptr<reward::RewardFunction> judge;  // judges the answers of evaluations; may be the reward itself
  std::unique_ptr<optim::Optimizer> optimizer;
  std::unique_ptr<models::CausalLM> critic;  // method ppo; every rank holds all of it
  std::unique_ptr<optim::Optimizer> critic_optimizer;
  std::unique_ptr<rollout::Engine> engine;
  std::unique_ptr<Method> method;
  update::TokenBudget budget;  // as planned, and smaller where memory ran out
  // The critic has a budget of its own. Its optimizer is not split, so it may become smaller on one rank alone. Where
  // the policy's is split, all ranks need the same one (update.cpp, most_micro_batches).
  update::TokenBudget critic_budget;
  int64_t total_steps = 0;
  bool splits_optimizer = false;  // ranks split the optimizer's state, and each saves its part

  /// Whether this rank writes metrics, rollouts and checkpoints, which one rank does for all.
  bool writes() const { return communicator.rank() == 0; }
  update::Learner learner();
  std::optional<update::Learner> critic_learner();

  /// Called after a step: copies the policy's weights to the reference, if algorithm.kl.sync_every says so.
  void sync_reference(int64_t step);
  /// Whether, after `step`, the reference has other weights than the run began with.
  bool has_moved_reference(int64_t step) const;
};

/// Plans the memory, loads model and data, and makes the rest. weights: the folder of a checkpoint's weights; empty:
/// the start weights. What is wrong with a configuration, the data or a model is found here, as base::ConfigError or
/// base::IoError, before anything in the run's folder is touched. A collective.
std::unique_ptr<Run> assemble(const TrainConfig& config, const std::filesystem::path& weights,
                              dist::Communicator& communicator);

}  // namespace grpo::trainer
