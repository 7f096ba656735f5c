#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// Completions [first_sample, first_sample + count) of the group of a step's draw.
struct Ask {
  size_t draw = 0;
  int64_t first_sample = 0;
  int64_t count = 0;
};

/// A group, as large as it is now, from which nothing is learned.
struct Tied {
  size_t draw = 0;
  int64_t size = 0;
};

/// What a step asks for after its first groups, because some of them are tied (docs/algorithm.md, "Groups that adapt").
/// Every tied group leads to at most one ask. In the end the same completions have been asked for in whatever order
/// groups ended, and on whatever ranks: a fresh prompt is asked only when the step lacks a live group even if all that
/// is open turned out live, and a group is extended on its own rewards; where rollout.adaptive.max_rollouts may be
/// used up, groups are extended in the order of draws, once all of a round are known.
class Asks {
 public:
  /// Who begins with the fresh prompt of a tied group: the place in the step's draws that nobody has taken yet. With
  /// several ranks one number for all of them.
  using TakeDraw = std::function<size_t()>;

  /// The completions that the group of a draw begins with; none where the step may not ask it.
  using SizeOf = std::function<std::optional<int64_t>(size_t draw)>;

  /// by_rounds: fresh prompts begin only when all groups before are known, for ranks that cannot tell in between.
  Asks(const RolloutConfig& config, SizeOf size_of, bool by_rounds, TakeDraw take_draw = {});

  /// The first group of a draw, which the step asks in any case or as a fresh prompt; none where it may not.
  std::optional<Ask> of(size_t draw) const;

  /// Whether a tied group is answered at once, and whether at the end of a round.
  bool at_once() const { return refills() ? !by_rounds_ : extends() && !scarce_; }
  bool by_rounds() const { return (refills() || extends()) && !at_once(); }

  /// What this group leads to before others are known.
  std::optional<Ask> after(const Tied& tied);

  /// What a round's tied groups lead to. tied: of all ranks, in the order of draws.
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
  bool scarce_;       // the bound on rollouts may bind
  int64_t rollouts_;  // asked for so far
};

}  // namespace grpo::trainer
