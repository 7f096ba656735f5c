#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "grpo/dist/launch.h"

namespace grpo::dist {

/// A failure that the environment variable GRPO_DRILL makes one rank rehearse. It lets operators see on their own
/// cluster how a run ends before they trust it, and serves tests.
struct Drill {
  enum class Action { kKill, kStop, kThrow, kSleep };
  int64_t rank = 0;
  std::optional<int64_t> step;  // none: at every step, and outside of steps
  std::string phase;
  Action action = Action::kKill;
  std::optional<int64_t> seconds;  // length of a sleep; none: forever
};

/// Reads GRPO_DRILL="rank=1 step=3 phase=update action=kill". The words may be in any order; step and seconds may be
/// left out. Returns nullopt when the variable is not set. Throws base::ConfigError for any other text.
std::optional<Drill> drill_from(const Environment& environment, int64_t num_ranks);

/// Whether the drill is meant for this rank in this phase. `phase` is what
/// Communicator::enter_phase gets: "step 3, update".
bool applies(const Drill& drill, int64_t rank, const std::string& phase);

/// Does what the drill asks for. `until_known` is the pause before killing or stopping the process, after which it can
/// say nothing more: meanwhile the other ranks learn its phase.
void act(const Drill& drill, std::chrono::milliseconds until_known);

}  // namespace grpo::dist
