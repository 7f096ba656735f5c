// Supervised fine-tuning: problems and their written completions -> sequences -> update.
#include "trainer/methods/sft.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "grpo/algo/aggregation.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/metrics/timer.h"
#include "trainer/sum_over_ranks.h"
#include "trainer/train_shares.h"
#include "trainer/update_watch.h"

namespace grpo::trainer {
namespace {

int64_t end_of_completion(const Policy& policy) {
  const std::string& end = policy.chat_template->end_of_turn();
  const auto id = end.empty() ? std::nullopt : policy.tokenizer->token_id(end);
  return id ? *id : policy.stop_ids.front();
}

}  // namespace

std::vector<int64_t> written_completion(const Policy& policy, const std::string& text, bool special_tokens) {
  auto ids = policy.tokenizer->encode(text, special_tokens);
  ids.push_back(end_of_completion(policy));
  return ids;
}

std::vector<std::vector<int64_t>> written_completions(const Policy& policy, std::vector<Prompt>& prompts,
                                                      int64_t most_tokens, bool special_tokens) {
  std::vector<std::vector<int64_t>> completions;
  std::vector<Prompt> kept;
  for (Prompt& prompt : prompts) {
    auto ids = written_completion(policy, prompt.gold, special_tokens);
    if (static_cast<int64_t>(ids.size()) > most_tokens) continue;
    completions.push_back(std::move(ids));
    kept.push_back(std::move(prompt));
  }
  const size_t dropped = prompts.size() - kept.size();
  if (dropped > 0) {
    base::log_warning(base::concat("data.train: ", dropped, " of ", prompts.size(), " completions are longer than ",
                                   most_tokens, " tokens (rollout.max_new_tokens) and are left out"));
  }
  prompts = std::move(kept);
  if (prompts.empty()) throw base::ConfigError("data.train: no completion is left; check rollout.max_new_tokens");
  return completions;
}

Sft::Sft(const TrainConfig& config, Policy& policy, const std::vector<Prompt>& prompts,
         const std::vector<std::vector<int64_t>>& completions)
    : config_(config),
      policy_(policy),
      prompts_(prompts),
      completions_(completions),
      sampler_(train_shares(config.data.train, prompts), static_cast<uint64_t>(config.run.seed),
               data::order_of(config.data) == data::Order::kShuffle) {}

bool Sft::take_step(const StepCall& call) {
  dist::Communicator& communicator = call.learner.communicator;
  const auto examples = next_examples();
  const int64_t sent = communicator.bytes_sent();
  const metrics::Timer timer;
  communicator.enter_phase(base::concat("step ", call.step, ", update"));
  policy_.model->release_sampling_weights();  // there is a sampler's copy if there has been an evaluation
  call.learner.optimizer.release_weights();
  const auto updates = make_updates(call, examples);
  call.learner.optimizer.gather_weights();
  if (updates.back().dropped) return false;

  step_ = call.step;
  next_draw_ += examples.size();
  update_ = update::mean_of_updates(updates);
  update_s_ = timer.seconds();
  ranks_ = communicator.size();
  bytes_ = ranks_ > 1 ? sum_over_ranks({static_cast<double>(communicator.bytes_sent() - sent)}, communicator)[0] : 0.0;
  prompt_tokens_ = completion_tokens_ = num_completions_ = longest_ = 0;
  for (const size_t i : examples) {
    for (const int64_t length : lengths_of(i)) {
      prompt_tokens_ += static_cast<int64_t>(prompts_[i].ids.size());
      completion_tokens_ += length;
      num_completions_ += 1;
      longest_ = std::max(longest_, length);
    }
  }
  return true;
}

std::vector<int64_t> Sft::lengths_of(size_t example) const {
  return {static_cast<int64_t>(completions_[example].size())};
}

std::vector<size_t> Sft::next_examples() {
  std::vector<size_t> examples;
  for (int64_t q = 0; q < config_.rollout.prompts_per_step; ++q) {
    examples.push_back(static_cast<size_t>(sampler_.row_of(next_draw_ + static_cast<uint64_t>(q))));
  }
  return examples;
}

// Makes the updates one after the other, in each epoch one for each part of the examples. One that is dropped is the
// last.
std::vector<UpdateStats> Sft::make_updates(const StepCall& call, const std::vector<size_t>& examples) const {
  auto watch = update_watch(call.step, call.should_stop, call.on_progress);
  const auto parts = static_cast<size_t>(config_.trainer.updates_per_step);
  const size_t size = examples.size() / parts;
  std::vector<UpdateStats> updates;
  for (size_t u = 0; u < parts * static_cast<size_t>(config_.trainer.epochs_per_step); ++u) {
    const auto first = examples.begin() + static_cast<std::ptrdiff_t>(u % parts * size);
    const std::vector<size_t> part(first, first + static_cast<std::ptrdiff_t>(size));
    updates.push_back(update::update_weights(call.learner, watch, batch_of(call, part)));
    if (updates.back().dropped) break;
    if (updates.back().applied) watch.should_stop = {};  // the weights have changed, so the step has to be finished
  }
  return updates;
}

update::Batch Sft::batch_of(const StepCall&, const std::vector<size_t>& examples) const {
  update::Batch batch;
  std::vector<algo::RolloutCount> counts;
  for (const size_t i : examples) {
    auto sequence = update::sequence_of(prompts_[i].ids, completions_[i]);
    sequence.advantages = {1.0f};
    batch.sequences.push_back(std::move(sequence));
    counts.push_back({.tokens = static_cast<int64_t>(completions_[i].size()), .live = true});
  }
  auto sums = algo::count_denominators(counts, config_.algorithm.denominator, config_.algorithm.empty_rows);
  sums.max_new_tokens = static_cast<double>(config_.rollout.max_new_tokens);
  batch.scale = algo::loss_scale(config_.algorithm.aggregation, sums);
  return batch;
}

metrics::MetricsLine Sft::measures() const {
  const auto examples = static_cast<double>(config_.rollout.prompts_per_step);
  metrics::MetricsLine line;
  line.add("loss", update_.figure("loss"));
  line.add("grad_norm", update_.grad_norm);
  line.add("lr", update_.lr);
  line.add("entropy", update_.figure("entropy"));
  line.add("examples", examples);
  line.add("examples/total", static_cast<double>(next_draw_));
  line.add("tokens/prompt", static_cast<double>(prompt_tokens_));
  line.add("tokens/completion", static_cast<double>(completion_tokens_));
  line.add("tokens/trained", static_cast<double>(update_.tokens));
  line.add("length/mean", static_cast<double>(completion_tokens_) / static_cast<double>(num_completions_));
  line.add("length/max", static_cast<double>(longest_));
  line.add("time/update", update_s_);
  line.add("time/train", update_s_);
  line.add("speed/update_tokens_per_s", metrics::per_second(update_.tokens, update_s_));
  if (ranks_ > 1) line.add("bytes/update", bytes_);
  return line;
}

void Sft::show(metrics::Status& status) const {
  status.update_tokens_per_s = metrics::per_second(update_.tokens, update_s_);
}

std::string Sft::summary(int64_t total_steps, double step_s, double left_s) const {
  char text[192];
  std::snprintf(text, sizeof text, "step %lld/%lld  loss %.4f  grad %.3f  entropy %.3f  tokens %lld  %.2f s",
                static_cast<long long>(step_), static_cast<long long>(total_steps), update_.figure("loss"),
                update_.grad_norm, update_.figure("entropy"), static_cast<long long>(update_.tokens), step_s);
  std::string line = text;
  if (step_ < total_steps) line += "  left " + metrics::duration(left_s);
  return update_.applied ? line : line + "  (gradient not finite: update skipped)";
}

void Sft::save(nlohmann::json& state) const { state["next_draw"] = next_draw_; }

void Sft::restore(const nlohmann::json& state) { next_draw_ = state.at("next_draw").get<uint64_t>(); }

}  // namespace grpo::trainer
