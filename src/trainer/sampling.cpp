#include "trainer/sampling.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/update/profile.h"
#include "trainer/gather_json.h"
#include "trainer/group_sizes.h"
#include "trainer/length_rules.h"
#include "trainer/memory_plan.h"
#include "trainer/reward_item.h"
#include "trainer/sequences.h"
#include "trainer/stopping.h"

namespace grpo::trainer {
namespace {

bool on_cuda(const StepContext& context) { return context.policy.model->device().is_cuda(); }

// Ranks that share their prompts also take fresh ones from a common counter. Other ranks ask for fresh ones by rounds,
// and each takes its share of them.
Asks asks_of(const StepContext& context, Draws& draws) {
  dist::Communicator& communicator = context.learner.communicator;
  const RolloutConfig& config = context.config.rollout;
  const auto size_of = [&draws](size_t number) -> std::optional<int64_t> {
    const Draw* draw = draws.at(number);
    return draw != nullptr ? std::optional(draw->size) : std::nullopt;
  };
  if (!steals_prompts(context.config, communicator.size()))
    return Asks(config, size_of, /*by_rounds=*/communicator.size() > 1);
  return Asks(
      config, size_of, /*by_rounds=*/false,
      [&communicator, name = base::concat("step ", context.step, ", fresh prompts"), before = config.prompts_per_step] {
        return static_cast<size_t>(before + communicator.add_shared(name, 1) - 1);
      });
}

std::unique_ptr<rollout::Session> begin_session(const StepContext& context) {
  const RolloutConfig& config = context.config.rollout;
  const base::RandomKey key{static_cast<uint64_t>(context.config.run.seed), base::stream_id("train")};
  return context.engine.begin(
      {.longest = context.longest_prompt + config.max_new_tokens, .sequences = most_together(config)},
      {.sampling = config.sampling, .max_new_tokens = config.max_new_tokens, .stop_ids = context.policy.stop_ids}, key);
}

void score_rollouts(const StepContext& context, const Prompt& prompt, std::span<Rollout> rollouts) {
  const auto golds = prompt.golds();
  std::vector<std::string> turns;
  for (Rollout& rollout : rollouts) {
    rollout.text = context.policy.tokenizer->decode(rollout.completion.ids, /*skip_special=*/true);
    turns.push_back(prompt.begun + rollout.text);
  }
  std::vector<reward::Item> items;
  for (size_t i = 0; i < rollouts.size(); ++i)
    items.push_back(item_of(prompt, golds, rollouts[i].completion, turns[i], rollouts[i].sample));
  auto scores = context.reward.score(items);
  for (size_t i = 0; i < rollouts.size(); ++i) {
    rollouts[i].score = std::move(scores[i]);
    apply_length_rules(context.config, rollouts[i]);
    if (!std::isfinite(rollouts[i].score.reward))
      throw base::Error("reward: prompt " + prompt.id + " got a reward that is not finite; check reward.terms");
  }
}

void sort_by_draw(std::vector<Tied>& tied) {
  std::sort(tied.begin(), tied.end(), [](const Tied& a, const Tied& b) { return a.draw < b.draw; });
}

// Whether two runs have to give the same bits although a completion depends on what it is decoded together with. Then
// what joins has to join at the same decode step in both, however long scores take.
bool joins_by_step(const StepContext& context) {
  return !context.config.rollout.exact && (!on_cuda(context) || context.config.trainer.deterministic);
}

}  // namespace

Sampling::Sampling(const StepContext& context, Draws& draws, update::StreamedUpdate* stream)
    : context_(context),
      draws_(draws),
      stream_(stream),
      asks_(asks_of(context, draws)),
      session_(begin_session(context)),
      scorer_(context.reward.concurrency()) {
  dist::Communicator& communicator = context.learner.communicator;
  const auto prompts = static_cast<size_t>(context.config.rollout.prompts_per_step);
  const auto [first, last] = share_of(prompts, communicator);
  progress_.total = static_cast<int64_t>(last - first) * first_size(context.config.rollout);
  show();
  if (steals_prompts(context.config, communicator.size())) {
    const int64_t together = decoded_together(context.config.rollout, on_cuda(context));
    queue_ = prompt_queue(communicator, context.config, together, context.step);
  } else {
    submit_prompts({first, last});
  }
}

bool Sampling::run() {
  std::optional<update::TraceRange> range(std::in_place, "rollout");
  const bool in_step = joins_by_step(context_);
  for (bool more = true; more;) {
    take_prompts();
    if (session_->open() > 0 && should_stop()) {
      if (scorer_.failed()) wait_for_scores();  // throws
      return false;
    }
    more = session_->advance();
    take_groups();
    if (asks_.at_once()) {
      if ((in_step || !more) && !wait_for_scores()) return false;
      more = answer_tied() || more;
    }
    more = more || queue_ || next_round();
  }
  range.emplace("reward");
  context_.learner.communicator.enter_phase(base::concat("step ", context_.step, ", reward"));
  return !stopped_ && !stopped_together_ && wait_for_scores();
}

void Sampling::submit(const Ask& ask) {
  const Draw& draw = *draws_.at(ask.draw);
  if (groups_.size() <= ask.draw) groups_.resize(ask.draw + 1);
  session_->submit({.prompt_ids = draw.prompt.ids,
                    .draw = draw.ordinal,
                    .first_sample = ask.first_sample,
                    .num_samples = ask.count});
  submitted_.push_back(ask);
}

void Sampling::submit_prompts(std::pair<size_t, size_t> share) {
  for (size_t draw = share.first; draw < share.second; ++draw) submit(*asks_.of(draw));
}

// Takes prompts from the queue that the ranks share, if there is one and this rank has room, until the queue is empty.
void Sampling::take_prompts() {
  if (!queue_ || session_->open() >= queue_->together) return;
  const auto taken = queue_->take(queue_->together - session_->open());
  submit_prompts(taken);
  if (taken.first == taken.second) queue_.reset();
}

void Sampling::take_groups() {
  for (auto& group : session_->take()) {
    const Ask& ask = submitted_[group.request];
    add(ask, std::move(group.completions));
    score(ask, stream_ == nullptr ? std::nullopt : std::optional(stream_->announce()));
  }
}

void Sampling::add(const Ask& ask, std::vector<rollout::Completion> completions) {
  auto& rollouts = groups_[ask.draw];
  for (auto& completion : completions) {
    progress_.tokens += static_cast<int64_t>(completion.ids.size());
    rollouts.push_back({.prompt = ask.draw,
                        .sample = static_cast<int64_t>(rollouts.size()),
                        .completion = std::move(completion),
                        .text = {},
                        .score = {}});
  }
  progress_.done += ask.count;
  // There can be more than this rank's equal share: prompts taken from the queue, and what tied groups led to.
  progress_.total = std::max(progress_.total, progress_.done);
  show();
}

// Has the completions that this ask brought scored by a thread. Meanwhile nobody else touches the group: it is extended
// only after it has been scored. place: that of the group's sequences in the streamed update, if there is one.
void Sampling::score(const Ask& ask, std::optional<size_t> place) {
  scorer_.submit([this, ask, place, &rollouts = groups_[ask.draw], &prompt = draws_.at(ask.draw)->prompt] {
    score_rollouts(context_, prompt, std::span(rollouts).subspan(static_cast<size_t>(ask.first_sample)));
    if (place) stream_->take(*place, sequences_of_group(context_.config, prompt, rollouts));
    if (!asks_.at_once() && !asks_.by_rounds()) return;
    if (is_live(context_.config, rollouts)) return;
    const std::lock_guard lock(mutex_);
    tied_.push_back({.draw = ask.draw, .size = static_cast<int64_t>(rollouts.size())});
  });
}

// The tied groups of this rank that were scored since the last call. They are in the order of draws, and not in the
// order in which threads have scored them, so that what they lead to always joins in the same order.
std::vector<Tied> Sampling::take_tied() {
  std::vector<Tied> tied;
  {
    const std::lock_guard lock(mutex_);
    tied.swap(tied_);
  }
  sort_by_draw(tied);
  return tied;
}

// Submits what the tied groups lead to. Returns whether there was anything.
bool Sampling::answer_tied() {
  bool asked = false;
  for (const Tied& group : take_tied()) {
    const auto ask = asks_.after(group);
    if (ask) submit(*ask);
    asked = asked || ask;
  }
  return asked;
}

// Ends a round: submits what its tied groups lead to. An extension stays with the rank that has the group, and of fresh
// prompts each rank takes its share. Returns false when the groups of all ranks lead to nothing, or when this rank or
// all of them stop.
bool Sampling::next_round() {
  if (!asks_.by_rounds() || !wait_for_scores()) return false;
  const auto asks = asks_.after_round(tied_of_all_ranks());
  if (stopped_together_) return false;
  const auto [first, last] = share_of(asks.size(), context_.learner.communicator);
  for (size_t i = 0; i < asks.size(); ++i) {
    const bool fresh = asks[i].first_sample == 0;
    const bool mine = asks[i].draw < groups_.size() && !groups_[asks[i].draw].empty();
    if (fresh ? first <= i && i < last : mine) submit(asks[i]);
  }
  return !asks.empty();
}

// The tied groups of all ranks in the order of draws; empty when a rank stops (stopped_together_).
std::vector<Tied> Sampling::tied_of_all_ranks() {
  std::vector<Tied> tied = take_tied();
  dist::Communicator& communicator = context_.learner.communicator;
  if (communicator.size() > 1) {
    stopped_together_ = communicator.meet("the other ranks' groups", 0, [this] { should_stop(); }) > 0;
    if (stopped_together_) return {};
    auto mine = nlohmann::json::array();
    for (const Tied& group : tied) mine.push_back({group.draw, group.size});
    tied.clear();
    for (const auto& theirs : all_gather_json(mine, communicator)) {
      for (const auto& group : theirs) tied.push_back({group.at(0).get<size_t>(), group.at(1).get<int64_t>()});
    }
    sort_by_draw(tied);
  }
  return tied;
}

// It is asked between decode steps, and shows the progress, which then moves even while long completions are decoded.
bool Sampling::should_stop() {
  show();
  if (scorer_.failed() || (stream_ != nullptr && stream_->failed())) return true;
  return context_.should_stop && context_.should_stop();
}

// Graders may take long, so each job that is done is shown as progress, and a signal may end the wait; then it returns
// false. To ask should_stop counts as progress too (Loop::goes_on_and). So while no job becomes done it is asked only
// after a signal, and the watchdog sees a grader that hangs. Throws what a job has thrown.
bool Sampling::wait_for_scores() {
  const metrics::Timer timer;
  stopped_ = !scorer_.wait([this](bool progress) {
    if (progress) show();
    return (progress || has_signal()) && context_.should_stop && context_.should_stop();
  });
  waited_s_ += timer.seconds();
  return !stopped_;
}

void Sampling::show() const {
  if (context_.on_progress) context_.on_progress(progress_);
}

void Sampling::write(StepStats& stats) const {
  const auto engine = session_->stats();
  stats.tokens_prompt = engine.prompt_tokens;
  stats.preempted = engine.preempted;
  stats.reward_s = waited_s_;
  stats.rollout_s = timer_.seconds() - waited_s_;
}

}  // namespace grpo::trainer
