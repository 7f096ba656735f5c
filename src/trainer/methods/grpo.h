#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "grpo/data/sampler.h"
#include "grpo/reward/reward.h"
#include "grpo/rollout/engine.h"
#include "trainer/accuracy_tracker.h"
#include "trainer/draws.h"
#include "trainer/methods/method.h"
#include "trainer/value_tracker.h"

namespace grpo::trainer {

/// Group relative policy optimization: groups of completions are sampled, rewarded, and compared with one another. Also
/// methods online_dpo and ppo, whose steps differ only in what they make of the rewards.
class Grpo : public Method {
 public:
  /// What is given must outlive this object.
  Grpo(const TrainConfig& config, Policy& policy, const std::vector<Prompt>& prompts, rollout::Engine& engine,
       const reward::RewardFunction& reward);

  bool take_step(const StepCall& call) override;
  const UpdateStats& update() const override { return result_.stats.update; }
  metrics::MetricsLine measures() const override;
  StepSigns signs() const override;
  std::vector<std::string> warnings() override;
  void write_samples(const std::filesystem::path& file, int64_t most) const override;
  void show_samples(metrics::TensorBoardWriter& writer, double time) const override;
  void show(metrics::Status& status) const override;
  std::string summary(int64_t total_steps, double step_s, double left_s) const override;
  void save(nlohmann::json& state) const override;
  void restore(const nlohmann::json& state) override;
  void forget_problems() override;

 private:
  Draws next_draws();
  std::function<size_t(size_t)> next_prompts();
  double predict_dead(const RolloutBatch& batch) const;
  void record(const RolloutBatch& batch);
  double mean_overlong() const;
  std::string truncated_warning();
  std::string few_live_warning();
  std::string failed_warning() const;

  const TrainConfig& config_;
  Policy& policy_;
  const std::vector<Prompt>& prompts_;
  rollout::Engine& engine_;
  const reward::RewardFunction& reward_;
  data::PromptSampler sampler_;
  int64_t longest_prompt_ = 0;
  bool checked_truncated_ = false;
  bool checked_live_ = false;
  // Carried from step to step:
  uint64_t next_draw_ = 0;  // ordinal of the run's next draw
  int64_t rollouts_total_ = 0;
  AccuracyTracker accuracy_;
  ValueTracker values_;       // used by groups of one
  int64_t groups_asked_ = 0;  // groups since this process began, and the live ones of them, for few_live_warning()
  int64_t groups_live_ = 0;
  // Of the last step:
  int64_t step_ = 0;
  StepResult result_;
  double dead_predicted_ = 0.0;
  std::vector<double> sent_;  // bytes that all ranks sent for the rollout and for the update; empty with one rank
};

}  // namespace grpo::trainer
