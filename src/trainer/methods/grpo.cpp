#include "trainer/methods/grpo.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "grpo/base/error.h"
#include "trainer/step_output.h"
#include "trainer/train_shares.h"

namespace grpo::trainer {
namespace {

bool is_right(const Rollout& rollout) { return rollout.score.verdict.kind == verifier::Verdict::Kind::kRight; }

// What all ranks put on the wire for this step (docs/distributed.md has the formula): for rollouts, and for the update.
std::vector<double> bytes_of_ranks(const StepStats& stats, dist::Communicator& communicator) {
  if (communicator.size() == 1) return {};
  std::vector<double> sum = {0.0, 0.0};
  for (const auto& theirs :
       communicator.all_gather({static_cast<double>(stats.rollout_bytes), static_cast<double>(stats.update_bytes)})) {
    sum[0] += theirs[0];
    sum[1] += theirs[1];
  }
  return sum;
}

double per_second(int64_t tokens, double seconds) {
  return seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0;
}

}  // namespace

Grpo::Grpo(const TrainConfig& config, Policy& policy, const std::vector<Prompt>& prompts, rollout::Engine& engine,
           const reward::RewardFunction& reward)
    : config_(config),
      policy_(policy),
      prompts_(prompts),
      engine_(engine),
      reward_(reward),
      sampler_(train_shares(config.data.train, prompts), static_cast<uint64_t>(config.run.seed), config.data.shuffle) {}

bool Grpo::take_step(const StepCall& call) {
  std::vector<uint64_t> draws;
  auto prompts = next_prompts(draws);
  const double dead_predicted = predict_dead(prompts);
  auto result = grpo_step({.config = config_,
                           .policy = policy_,
                           .engine = engine_,
                           .reward = reward_,
                           .learner = call.learner,
                           .step = call.step,
                           .should_stop = call.should_stop,
                           .on_progress = call.on_progress},
                          std::move(prompts), draws);
  if (result.stopped) return false;
  step_ = call.step;
  result_ = std::move(result);
  dead_predicted_ = dead_predicted;
  sent_ = bytes_of_ranks(result_.stats, call.learner.communicator);
  next_draw_ += draws.size();
  rollouts_total_ += static_cast<int64_t>(result_.batch.rollouts.size());
  record_accuracy();
  return true;
}

std::vector<Prompt> Grpo::next_prompts(std::vector<uint64_t>& draws) {
  std::vector<Prompt> prompts;
  for (int64_t q = 0; q < config_.rollout.prompts_per_step; ++q) {
    draws.push_back(next_draw_ + static_cast<uint64_t>(q));
    prompts.push_back(prompts_[static_cast<size_t>(sampler_.row_of(draws.back()))]);
  }
  return prompts;
}

double Grpo::predict_dead(const std::vector<Prompt>& prompts) const {
  double expected = 0.0;
  for (const Prompt& prompt : prompts) expected += accuracy_.dead_probability(prompt.row, config_.rollout.group_size);
  return expected;
}

void Grpo::record_accuracy() {
  const RolloutBatch& batch = result_.batch;
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    int64_t right = 0;
    for (int64_t i = batch.group_offsets[q]; i < batch.group_offsets[q + 1]; ++i)
      right += is_right(batch.rollouts[static_cast<size_t>(i)]) ? 1 : 0;
    accuracy_.record(batch.prompts[q].row, right, batch.group_offsets[q + 1] - batch.group_offsets[q]);
  }
}

metrics::MetricsLine Grpo::measures() const {
  auto line = metrics_of(result_, dead_predicted_, rollouts_total_);
  const auto terms = reward_.names();
  for (size_t k = 0; k < result_.stats.term_means.size(); ++k)
    line.add("reward/" + terms[k] + "/mean", result_.stats.term_means[k]);
  line.add("reward/failed", static_cast<double>(result_.stats.rewards_failed));
  if (sent_.empty()) return line;
  line.add("bytes/rollout", sent_[0]);
  line.add("bytes/update", sent_[1]);
  line.add("prompts/fewest", static_cast<double>(result_.stats.fewest_prompts));
  line.add("prompts/most", static_cast<double>(result_.stats.most_prompts));
  return line;
}

StepSigns Grpo::signs() const {
  const StepStats& stats = result_.stats;
  return {
      .ratio_max = stats.update.figure("ratio/max"),
      .reward_mean = stats.reward_mean,
      .reward_std = stats.reward_std,
      .length_mean = static_cast<double>(stats.tokens_completion) / static_cast<double>(result_.batch.rollouts.size())};
}

std::vector<std::string> Grpo::warnings() {
  std::vector<std::string> all;
  for (auto& text : {truncated_warning(), failed_warning()}) {
    if (!text.empty()) all.push_back(text);
  }
  return all;
}

std::string Grpo::failed_warning() const {
  const auto& rollouts = result_.batch.rollouts;
  const auto failed =
      std::find_if(rollouts.begin(), rollouts.end(), [](const Rollout& rollout) { return rollout.score.failed(); });
  if (failed == rollouts.end()) return "";
  return base::concat("step ", step_, ": the rewards of ", result_.stats.rewards_failed, " of ", rollouts.size(),
                      " completions are not known, and these are left out; of prompt ",
                      result_.batch.prompts[failed->prompt].id, ", ", failed->score.failure);
}

// Of the first step alone.
std::string Grpo::truncated_warning() {
  const auto rollouts = static_cast<int64_t>(result_.batch.rollouts.size());
  if (std::exchange(checked_truncated_, true) || result_.stats.truncated * 10 <= rollouts * 9) return "";
  return base::concat(result_.stats.truncated, " of ", rollouts,
                      " completions of the first step reached the length limit. "
                      "Likely causes: no stop id of this model is known (rollout.stop_ids), a template it was not "
                      "trained with (model.template), or rollout.max_new_tokens ",
                      config_.rollout.max_new_tokens, " is too small");
}

void Grpo::write_samples(const std::filesystem::path& file, int64_t most) const {
  write_rollouts(file, step_, result_.batch, reward_.names(), most);
}

void Grpo::show_samples(metrics::TensorBoardWriter& writer, double time) const {
  add_rollouts(writer, step_, time, result_.batch);
}

void Grpo::show(metrics::Status& status) const {
  const StepStats& stats = result_.stats;
  status.rewards.push_back(stats.reward_mean);
  status.accuracy = stats.accuracy;
  status.live_share = static_cast<double>(stats.groups_live) / static_cast<double>(result_.batch.num_groups());
  status.rollout_tokens_per_s = per_second(stats.tokens_completion, stats.rollout_s);
  status.update_tokens_per_s = per_second(stats.update.tokens, stats.update_s);
}

std::string Grpo::summary(int64_t total_steps, double step_s, double left_s) const {
  return summary_of(result_, step_, total_steps, step_s, left_s);
}

void Grpo::save(nlohmann::json& state) const {
  state["next_draw"] = next_draw_;
  state["pending_prompts"] = nlohmann::json::array();  // a step is finished or not begun: none is ever half done
  state["rollouts_total"] = rollouts_total_;
  state["accuracy"] = accuracy_.to_json();
}

void Grpo::restore(const nlohmann::json& state) {
  next_draw_ = state.at("next_draw").get<uint64_t>();
  rollouts_total_ = state.at("rollouts_total").get<int64_t>();
  accuracy_ = AccuracyTracker::from_json(state.at("accuracy"));
  checked_truncated_ = true;
}

}  // namespace grpo::trainer
