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

/// What a step measures of its critic.
struct CriticStats {
  UpdateStats update;
  double explained_variance = 0.0;  // of the returns by the values before the update
  double value_mean = 0.0;          // over tokens
};

/// One step's measurements, in the words of metrics.jsonl.
struct StepStats {
  UpdateStats update;  // means over the updates of the step that were applied; tokens are summed
  double reward_mean = 0.0;
  double reward_std = 0.0;                          // population, over rollouts
  std::vector<double> term_means = {};              // of each reward term, in the order of RewardFunction::names()
  std::map<std::string, double> grader_means = {};  // figures of graders by "<term>/<name>", over who has them
  std::optional<double> kl_reference;               // with algorithm.kl.in: reward: mean over tokens
  std::optional<CriticStats> critic = {};           // method ppo
  int64_t rewards_failed = 0;                       // rollouts whose reward is not known; they are left out above
  double accuracy = 0.0;
  int64_t groups_live = 0;
  int64_t groups_extended = 0;  // that grew beyond their first size
  int64_t groups_replaced = 0;  // tied ones in whose place others were asked
  int64_t groups_dead_right = 0;
  int64_t groups_dead_wrong = 0;
  int64_t tokens_prompt = 0;
  int64_t tokens_completion = 0;
  int64_t truncated = 0;
  int64_t unparsable = 0;
  int64_t over_budget = 0;
  int64_t length_max = 0;
  int64_t preempted = 0;  // sequences that gave up their KV pages and were computed again
  double rollout_s = 0.0;
  double reward_s = 0.0;                  // the time that verifying took after the last token was sampled
  double update_s = 0.0;                  // with trainer.stream_update: the part of it that ran after the rollout
  std::optional<double> update_hidden_s;  // with trainer.stream_update: how long micro-batches ran while others decoded
  int64_t fewest_prompts = 0;             // prompts that a rank sampled; 0 with one rank
  int64_t most_prompts = 0;
  int64_t rollout_bytes = 0;  // bytes that this rank sent to share the rollouts
  int64_t update_bytes = 0;   // bytes that it sent to reduce gradients and gather weights
};

/// How far a phase of a step has come on this rank: completions of whole groups, or micro-batches of one optimizer
/// update.
struct StepProgress {
  enum class Phase { kRollout, kUpdate };
  Phase phase = Phase::kRollout;
  int64_t done = 0;
  int64_t total = 0;
  int64_t tokens = 0;  // sampled, or trained, so far
};

/// Everything that a step works with; the loop owns it.
struct StepContext {
  const TrainConfig& config;
  Policy& policy;
  rollout::Engine& engine;
  const reward::RewardFunction& reward;
  update::Learner learner;
  int64_t step = 0;                   // the number of this one, for messages
  int64_t longest_prompt = 0;         // tokens of the longest one that it may ask
  std::function<bool()> should_stop;  // asked between decode steps and micro-batches; true drops the step
  std::function<void(const StepProgress&)> on_progress = {};  // called on the thread that called grpo_step
  const ValueTracker* values = nullptr;     // of the prompts' earlier rewards; needed for groups of one
  const update::Learner* critic = nullptr;  // method ppo
};

/// How the updates of the step are watched.
update::Watch watch_of(const StepContext& context);

/// Samples a group for each of the first prompts_per_step draws, and for those after them that come in the place of
/// tied groups, and scores every completion; rewards are set, advantages are not. stream, when given, gets every group
/// of this rank as soon as it is scored. Returns a batch without rollouts when should_stop ended it.
RolloutBatch sample_and_score(const StepContext& context, Draws& draws, StepStats& stats,
                              update::StreamedUpdate* stream = nullptr);

/// Sets every rollout's advantage from its group's rewards. Completions of a group that are not compared
/// (rollout.adaptive.advantage_from) get 0.
void set_advantages(RolloutBatch& batch, const algo::AdvantageConfig& config, const RolloutConfig& rollout = {});

/// The same where every group is one completion: it is compared with the value of its prompt, or where that has none
/// yet with the mean of the step's other rollouts of such prompts; a rollout that is the only one of its kind, with the
/// mean of all others. Sets Rollout::baseline too.
void set_advantages_of_singles(RolloutBatch& batch, const algo::AdvantageConfig& config, const ValueTracker& values);

/// Whether something is learned from this group, whatever the step's other groups are like.
bool is_live(const TrainConfig& config, std::vector<Rollout> group);

/// One whole GRPO step on the draws that it may ask (trainer/draws.h). Once an update has changed the weights it is
/// finished whatever should_stop says.
struct StepResult {
  RolloutBatch batch;
  StepStats stats;
  bool stopped = false;  // should_stop ended it, on any rank; nothing was changed
};
StepResult grpo_step(const StepContext& context, Draws& draws);

}  // namespace grpo::trainer
