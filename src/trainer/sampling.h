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
#include "trainer/draws.h"
#include "trainer/scorer.h"
#include "trainer/share_prompts.h"

namespace grpo::trainer {

/// The rollout of a step on this rank: samples groups while a thread scores those that are whole, and asks for what
/// tied ones lead to. Fresh prompts and extensions join the sequences that still decode.
class Sampling {
 public:
  /// All that is given outlives it.
  Sampling(const StepContext& context, Draws& draws, update::StreamedUpdate* stream);

  /// Samples and scores all that falls to this rank. False when should_stop, here or on a rank that was met, ended it.
  bool run();

  /// Whether the ranks have agreed already that a stop has ended the step.
  bool stopped_together() const { return stopped_together_; }

  /// By draw; empty: other ranks have the group.
  std::deque<std::vector<Rollout>>& groups() { return groups_; }

  /// Times, tokens and preemptions of this rank.
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
  void wait_for_scores();
  void show() const;

  const StepContext& context_;
  Draws& draws_;
  update::StreamedUpdate* const stream_;
  const metrics::Timer timer_;
  double waited_s_ = 0.0;  // for scores, when nothing was left to decode
  Asks asks_;
  std::optional<PromptQueue> queue_;
  std::unique_ptr<rollout::Session> session_;
  std::vector<Ask> submitted_;               // by the number of the request
  std::deque<std::vector<Rollout>> groups_;  // which stay where they are while it grows
  StepProgress progress_;
  bool stopped_together_ = false;
  std::mutex mutex_;
  std::vector<Tied> tied_;  // scored since they were last looked at; under mutex_
  /// Last: its threads work with all of the above. One thread scores while this one samples: verifying takes
  /// microseconds, and the sampler's threads own the cores. More only wait for graders, which are programs of their
  /// own.
  Scorer scorer_;
};

}  // namespace grpo::trainer
