#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "grpo/metrics/timer.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/asks.h"
#include "trainer/divide_prompts.h"
#include "trainer/draws.h"
#include "trainer/scorer.h"

namespace grpo::trainer {

/// The rollout of a step on this rank. It samples groups while a thread scores those that are complete, and asks for
/// what tied groups lead to (asks.h). Fresh prompts and extensions join the sequences that are still being decoded.
class Sampling {
 public:
  /// What is given must outlive this object. stream: null, or what gets each group once it is scored.
  Sampling(const StepContext& context, Draws& draws, update::StreamedUpdate* stream);

  /// Samples and scores all that falls to this rank. Returns false when should_stop ended it, on this rank or on one
  /// that it has met in between.
  bool run();

  /// Whether all ranks know already that a stop has ended the step, so that they need not meet for it again.
  bool stopped_together() const { return stopped_together_; }

  /// The groups by the number of their draw. A group that another rank has is empty.
  std::deque<std::vector<Rollout>>& groups() { return groups_; }

  /// Sets times, prompt tokens and preemptions, as they are on this rank.
  void write(StepStats& stats) const;

 private:
  void submit(const Ask& ask);
  void submit_prompts(std::pair<size_t, size_t> share);
  void take_prompts();
  void take_groups();
  void add(const Ask& ask, std::vector<rollout::Completion> completions);
  void score(const Ask& ask, std::optional<size_t> place);
  std::vector<Tied> take_tied();
  bool answer_tied();
  bool next_round();
  std::vector<Tied> tied_of_all_ranks();
  bool should_stop();
  bool wait_for_scores();
  void show() const;

  const StepContext& context_;
  Draws& draws_;
  update::StreamedUpdate* const stream_;
  const metrics::Timer timer_;
  double waited_s_ = 0.0;  // how long this thread has waited for scores
  Asks asks_;
  std::optional<PromptQueue> queue_;
  std::unique_ptr<rollout::Session> session_;
  std::vector<Ask> submitted_;               // by the session's number of the request
  std::deque<std::vector<Rollout>> groups_;  // a deque, because scoring threads refer to groups while it grows
  StepProgress progress_;
  bool stopped_ = false;  // should_stop has ended a wait for scores
  bool stopped_together_ = false;
  std::mutex mutex_;
  std::vector<Tied> tied_;  // tied groups that were scored since the last take_tied(); under mutex_
  // The last member, because its threads work with all of the above. One thread is enough to verify beside the sampler,
  // whose threads own the cores: an answer takes microseconds. There are more only where they wait for graders, which
  // are other programs.
  Scorer scorer_;
};

}  // namespace grpo::trainer
