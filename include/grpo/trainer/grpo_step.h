#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grpo/reward/reward.h"
#include "grpo/rollout/engine.h"
#include "grpo/trainer/policy.h"
#include "grpo/trainer/rollout_batch.h"
#include "grpo/trainer/train_config.h"
#include "grpo/update/streamed_update.h"
#include "grpo/update/update.h"

namespace grpo::trainer {

class Draws;
class ValueTracker;
using update::UpdateStats;

/// What a step of method ppo measures of its critic.
struct CriticStats {
  UpdateStats update;               // means over the critic's updates of the step
  double explained_variance = 0.0;  // how well the values before the updates explain the returns (algo/critic.h)
  double value_mean = 0.0;          // mean over tokens of the values before the updates
};

/// What one step measures; most names are those of metrics.jsonl. The numbers are of all ranks unless a comment says
/// otherwise.
struct StepStats {
  UpdateStats update;  // update::mean_of_updates() of the policy's updates
  double reward_mean = 0.0;
  double reward_std = 0.0;                          // population standard deviation over rollouts
  std::vector<double> term_means = {};              // of each reward term, in the order of RewardFunction::names()
  std::map<std::string, double> grader_means = {};  // by "<term>/<name>": means over the rollouts that have the figure
  std::optional<double> kl_reference;               // mean over tokens, with algorithm.kl.in: reward
  std::optional<CriticStats> critic = {};           // method ppo
  int64_t rewards_failed = 0;     // rollouts whose reward is not known; reward and term figures leave them out
  double accuracy = 0.0;          // share of all rollouts that are right
  int64_t groups_live = 0;        // groups with an advantage that is not 0
  int64_t groups_extended = 0;    // groups that grew beyond their first size
  int64_t groups_replaced = 0;    // tied groups for which fresh prompts were asked
  int64_t groups_dead_right = 0;  // the others, all of whose rollouts are right
  int64_t groups_dead_wrong = 0;  // the rest
  int64_t tokens_prompt = 0;
  int64_t tokens_completion = 0;
  int64_t truncated = 0;
  int64_t unparsable = 0;
  int64_t over_budget = 0;
  int64_t length_max = 0;
  int64_t preempted = 0;                  // how often a sequence gave up its KV pages and was computed again
  double rollout_s = 0.0;                 // of the slowest rank, without the waits of reward_s
  double reward_s = 0.0;                  // how long the slowest rank waited for scores
  double update_s = 0.0;                  // this rank's, from the end of the rollout on
  std::optional<double> update_hidden_s;  // trainer.stream_update: how long micro-batches ran beside the rollout
  int64_t fewest_prompts = 0;             // the least and the most prompts that a rank has sampled; 0 with one rank
  int64_t most_prompts = 0;
  int64_t rollout_bytes = 0;  // what this rank sent to share the rollouts
  int64_t update_bytes = 0;   // what this rank sent to reduce gradients and gather weights
};

/// How far a phase of a step has come on this rank. done and total count the completions of whole groups in the
/// rollout, and micro-batches of the optimizer update that is running in the update.
struct StepProgress {
  enum class Phase { kRollout, kUpdate };
  Phase phase = Phase::kRollout;
  int64_t done = 0;
  int64_t total = 0;
  int64_t tokens = 0;  // tokens sampled so far, or trained so far in this update
};

/// Everything that a step works with; the loop owns it.
struct StepContext {
  const TrainConfig& config;
  Policy& policy;
  rollout::Engine& engine;
  const reward::RewardFunction& reward;
  update::Learner learner;
  int64_t step = 0;                   // the step's number, for messages and the names of counters that ranks share
  int64_t longest_prompt = 0;         // tokens of the longest prompt that the step may ask
  std::function<bool()> should_stop;  // asked between decode steps and micro-batches; true drops the step
  std::function<void(const StepProgress&)> on_progress = {};  // called on the thread that called grpo_step()
  const ValueTracker* values = nullptr;     // baselines from the prompts' earlier rewards; needed for groups of one
  const update::Learner* critic = nullptr;  // method ppo, else null
};

/// A watch for the updates of the step, with the context's should_stop and on_progress.
update::Watch watch_of(const StepContext& context);

/// Samples a group for each of the first prompts_per_step draws, and for the draws after them that replace tied groups,
/// and scores every completion: rewards are set, advantages are not. `stream`, if given, gets every group of this rank
/// as soon as it is scored. Every rank returns the groups of all ranks. Returns a batch without rollouts when
/// should_stop ended it, on any rank. Throws base::Error for a reward that is not finite. A collective.
RolloutBatch sample_and_score(const StepContext& context, Draws& draws, StepStats& stats,
                              update::StreamedUpdate* stream = nullptr);

/// Sets every rollout's advantage from its group's rewards, less their Rollout::kl. Rollouts whose reward is not known
/// get 0, and so do those of an extended group that are not compared (rollout.adaptive.advantage_from).
void set_advantages(RolloutBatch& batch, const algo::AdvantageConfig& config, const RolloutConfig& rollout = {});

/// The same where every group is one completion. Its baseline is the value of its prompt. Where the prompt has none yet
/// it is the mean reward of the step's other rollouts of such prompts, and where there is no other such rollout, the
/// mean of all others. Sets Rollout::baseline too.
void set_advantages_of_singles(RolloutBatch& batch, const algo::AdvantageConfig& config, const ValueTracker& values);

/// Whether rewards of this group differ, so that something is learned from it whatever the step's other groups are
/// like. The rewards are compared as they were scored, before Rollout::kl is subtracted, which is not known when it is
/// decided whether a group is replaced or extended.
bool is_live(const TrainConfig& config, std::vector<Rollout> group);

/// What grpo_step() has done.
struct StepResult {
  RolloutBatch batch;
  StepStats stats;
  bool stopped = false;  // should_stop ended it, on any rank: the weights are as they were
};

/// One whole GRPO step on the draws that it may ask (trainer/draws.h). Once an update has changed the weights, the step
/// is finished whatever should_stop says. A collective.
StepResult grpo_step(const StepContext& context, Draws& draws);

}  // namespace grpo::trainer
