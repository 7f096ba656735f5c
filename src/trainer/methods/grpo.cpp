#include "trainer/methods/grpo.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/metrics/timer.h"
#include "trainer/group_sizes.h"
#include "trainer/length_rules.h"
#include "trainer/mean.h"
#include "trainer/step_output.h"
#include "trainer/train_shares.h"
#include "trainer/uncertain_order.h"

namespace grpo::trainer {
namespace {

// The bytes that all ranks have sent in this step (docs/distributed.md has the formula), for the rollout and for the
// update; empty with one rank.
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

void add_critic(const CriticStats& critic, metrics::MetricsLine& line) {
  line.add("value/loss", critic.update.figure("value/loss"));
  if (critic.update.has_figure("value/clip_fraction"))
    line.add("value/clip_fraction", critic.update.figure("value/clip_fraction"));
  line.add("value/explained_variance", critic.explained_variance);
  line.add("value/mean", critic.value_mean);
  line.add("value/grad_norm", critic.update.grad_norm);
  line.add("value/lr", critic.update.lr);
}

}  // namespace

Grpo::Grpo(const TrainConfig& config, Policy& policy, const std::vector<Prompt>& prompts, rollout::Engine& engine,
           const reward::RewardFunction& reward)
    : config_(config),
      policy_(policy),
      prompts_(prompts),
      engine_(engine),
      reward_(reward),
      sampler_(train_shares(config.data.train, prompts), static_cast<uint64_t>(config.run.seed),
               data::order_of(config.data) == data::Order::kShuffle) {
  for (const Prompt& prompt : prompts)
    longest_prompt_ = std::max(longest_prompt_, static_cast<int64_t>(prompt.ids.size()));
}

bool Grpo::take_step(const StepCall& call) {
  Draws draws = next_draws();
  auto result = grpo_step({.config = config_,
                           .policy = policy_,
                           .engine = engine_,
                           .reward = reward_,
                           .learner = call.learner,
                           .step = call.step,
                           .longest_prompt = longest_prompt_,
                           .should_stop = call.should_stop,
                           .on_progress = call.on_progress,
                           .values = &values_,
                           .critic = call.critic ? &*call.critic : nullptr},
                          draws);
  if (result.stopped) return false;
  step_ = call.step;
  result_ = std::move(result);
  const RolloutBatch& batch = result_.batch;
  dead_predicted_ = predict_dead(batch);
  sent_ = bytes_of_ranks(result_.stats, call.learner.communicator);
  next_draw_ += static_cast<uint64_t>(batch.num_groups());
  rollouts_total_ += static_cast<int64_t>(batch.rollouts.size());
  groups_asked_ += batch.num_groups();
  groups_live_ += result_.stats.groups_live;
  record(batch);
  return true;
}

// The draws that the next step may ask, beginning with the next draw of the run. Which prompts and sizes they have
// depends only on what was known when the step began.
Draws Grpo::next_draws() {
  auto next = next_prompts();
  return Draws(
      [this, next, sizes = GroupSizes(config_.rollout, accuracy_)](size_t number) mutable -> Draw {
        const Prompt& prompt = prompts_[next(number)];
        return {.prompt = prompt, .ordinal = next_draw_ + number, .size = sizes.next(prompt.row)};
      },
      config_.rollout.prompts_per_step, most_rollouts(config_.rollout));
}

// Returns a function that gives the index of the prompt of each of the step's draws.
std::function<size_t(size_t)> Grpo::next_prompts() {
  if (data::order_of(config_.data) != data::Order::kUncertain) {
    return [this](size_t number) { return static_cast<size_t>(sampler_.row_of(next_draw_ + number)); };
  }
  return [this, drawn = std::vector<size_t>()](size_t number) mutable {
    if (number >= drawn.size()) {
      const size_t count = std::max(2 * number, static_cast<size_t>(config_.rollout.prompts_per_step));
      drawn = uncertain_prompts(accuracy_, prompts_, config_.data.train, static_cast<uint64_t>(config_.run.seed),
                                next_draw_, count);
    }
    return drawn[number];
  };
}

// The expected number of dead groups. A group that may be extended is dead only if it is still tied at its largest
// size. A group of one is never dead.
double Grpo::predict_dead(const RolloutBatch& batch) const {
  const bool extends = config_.rollout.adaptive.mode == AdaptiveMode::kExtend;
  double expected = 0.0;
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    const auto [first, last] = batch.range_of(q);
    const int64_t size = extends ? largest_size(config_.rollout) : static_cast<int64_t>(last - first);
    if (size > 1) expected += accuracy_.dead_probability(batch.prompts[q].row, size);
  }
  return expected;
}

void Grpo::record(const RolloutBatch& batch) {
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    const Judged judged = judged_of(batch, q);
    if (judged.all > 0) accuracy_.record(batch.prompts[q].row, judged.right, judged.all);
    const Rollout& only = batch.rollouts[batch.range_of(q).first];
    if (largest_size(config_.rollout) == 1 && !has_critic(config_.algorithm) && !only.score.failed())
      values_.record(batch.prompts[q].row, only.score.reward - only.kl, only.baseline);
  }
}

metrics::MetricsLine Grpo::measures() const {
  auto line = metrics_of(result_, dead_predicted_, rollouts_total_);
  const auto terms = reward_.names();
  for (size_t k = 0; k < result_.stats.term_means.size(); ++k)
    line.add("reward/" + terms[k] + "/mean", result_.stats.term_means[k]);
  for (const auto& [name, mean] : result_.stats.grader_means) line.add("reward/" + name, mean);
  line.add("reward/failed", static_cast<double>(result_.stats.rewards_failed));
  if (config_.rollout.overlong.buffer > 0) line.add("reward/overlong/mean", mean_overlong());
  if (result_.stats.kl_reference) line.add("kl/reference", *result_.stats.kl_reference);
  if (result_.stats.critic) add_critic(*result_.stats.critic, line);
  if (sent_.empty()) return line;
  line.add("bytes/rollout", sent_[0]);
  line.add("bytes/update", sent_[1]);
  line.add("prompts/fewest", static_cast<double>(result_.stats.fewest_prompts));
  line.add("prompts/most", static_cast<double>(result_.stats.most_prompts));
  return line;
}

double Grpo::mean_overlong() const {
  std::vector<double> penalties;
  for (const Rollout& rollout : result_.batch.rollouts)
    penalties.push_back(overlong_penalty(config_.rollout, static_cast<int64_t>(rollout.completion.ids.size())));
  return mean_of(penalties);
}

StepSigns Grpo::signs() const {
  const StepStats& stats = result_.stats;
  return {
      // Where sequences are compared there is no ratio to an old policy.
      .ratio_max = compares_groups(config_.algorithm) ? 0.0 : stats.update.figure("ratio/max"),
      .reward_mean = stats.reward_mean,
      .reward_std = stats.reward_std,
      .length_mean = static_cast<double>(stats.tokens_completion) / static_cast<double>(result_.batch.rollouts.size())};
}

std::vector<std::string> Grpo::warnings() {
  std::vector<std::string> all;
  for (auto& text : {truncated_warning(), failed_warning(), few_live_warning()}) {
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

// Looks at the first step only.
std::string Grpo::truncated_warning() {
  const auto rollouts = static_cast<int64_t>(result_.batch.rollouts.size());
  if (std::exchange(checked_truncated_, true) || result_.stats.truncated * 2 <= rollouts) return "";
  return base::concat(result_.stats.truncated, " of ", rollouts,
                      " completions of the first step reached the length limit and are CUT OFF: most will be judged "
                      "wrong. RAISE rollout.max_new_tokens, which is ",
                      config_.rollout.max_new_tokens,
                      ". If they do not end at any length: no stop id of this model is known (rollout.stop_ids), or it "
                      "was not trained with this template (model.template)");
}

// Looks once, as soon as there are so many groups that few live ones are no accident.
std::string Grpo::few_live_warning() {
  constexpr int64_t kGroups = 100;
  if (groups_asked_ < kGroups || std::exchange(checked_live_, true) || groups_live_ * 4 >= groups_asked_) return "";
  return base::concat(
      "of the first ", groups_asked_, " groups ", groups_live_,
      " are live, less than a quarter: most rollouts teach nothing. data.order: uncertain asks problems "
      "of middling difficulty, rollout.resample.max_rollouts replaces tied groups, "
      "rollout.adaptive.mode: extend enlarges them");
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
  status.rollout_tokens_per_s = metrics::per_second(stats.tokens_completion, stats.rollout_s);
  status.update_tokens_per_s = update_tokens_per_s(stats);
}

std::string Grpo::summary(int64_t total_steps, double step_s, double left_s) const {
  return summary_of(result_, step_, total_steps, step_s, left_s);
}

void Grpo::save(nlohmann::json& state) const {
  state["next_draw"] = next_draw_;
  state["pending_prompts"] = nlohmann::json::array();  // always empty: a step is finished or has not begun
  state["rollouts_total"] = rollouts_total_;
  state["accuracy"] = accuracy_.to_json();
  state["values"] = values_.to_json();
}

void Grpo::restore(const nlohmann::json& state) {
  next_draw_ = state.at("next_draw").get<uint64_t>();
  rollouts_total_ = state.at("rollouts_total").get<int64_t>();
  accuracy_ = AccuracyTracker::from_json(state.at("accuracy"));
  values_ = ValueTracker::from_json(state.value("values", nlohmann::json::array()));  // older checkpoints have none
  checked_truncated_ = true;
  checked_live_ = true;
}

void Grpo::forget_problems() {
  accuracy_ = AccuracyTracker();
  values_ = ValueTracker();
}

}  // namespace grpo::trainer
