#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// A request for the completions [first_sample, first_sample + count) of the group of one of the step's draws.
struct Ask {
  size_t draw = 0;
  int64_t first_sample = 0;
  int64_t count = 0;
};

/// A group whose rewards are all equal, so that nothing is learned from it, and how many completions it has now.
struct Tied {
  size_t draw = 0;
  int64_t size = 0;
};

/// Decides what a step asks for besides its first groups, because some of these are tied (docs/algorithm.md, "Groups
/// that adapt"). Every tied group leads to at most one ask. In which order groups end, and on which ranks, makes no
/// difference to what has been asked for in the end: each tied group brings one fresh prompt, which takes the next
/// draw, and a group is extended on its own rewards alone. Where rollout.adaptive.max_rollouts may be used up, groups
/// are extended in the order of draws, once all groups of a round are known.
class Asks {
 public:
  /// Takes the next draw that nobody has taken yet, for the fresh prompt of a tied group, and returns its number. Ranks
  /// that share their prompts count with one counter.
  using TakeDraw = std::function<size_t()>;

  /// The number of completions that the group of a draw begins with; nullopt for a draw that the step may not ask.
  using SizeOf = std::function<std::optional<int64_t>(size_t draw)>;

  /// by_rounds: fresh prompts are asked only when all groups before them are known. Ranks that have no counter in
  /// common need it. config must outlive this. Without take_draw, fresh prompts are counted here.
  Asks(const RolloutConfig& config, SizeOf size_of, bool by_rounds, TakeDraw take_draw = {});

  /// The ask for the first completions of a draw's group; nullopt for a draw that the step may not ask.
  std::optional<Ask> of(size_t draw) const;

  /// When a tied group leads to an ask: at once, or at the end of a round. Both are false where it leads to none.
  bool at_once() const { return refills() ? !by_rounds_ : extends() && !scarce_; }
  bool by_rounds() const { return (refills() || extends()) && !at_once(); }

  /// What a tied group leads to, where that is decided at once.
  std::optional<Ask> after(const Tied& tied);

  /// What the tied groups of a round lead to. tied: those of all ranks, in the order of draws.
  std::vector<Ask> after_round(const std::vector<Tied>& tied);

 private:
  bool refills() const { return config_.resample.max_rollouts.has_value(); }
  bool extends() const { return config_.adaptive.mode == AdaptiveMode::kExtend; }
  std::optional<Ask> extension(const Tied& tied) const;

  const RolloutConfig& config_;
  SizeOf size_of_;
  bool by_rounds_;
  TakeDraw take_draw_;
  size_t next_draw_;
  bool scarce_;       // rollout.adaptive.max_rollouts may not suffice for all extensions
  int64_t rollouts_;  // rollouts that the step has asked for so far
};

}  // namespace grpo::trainer
