#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "grpo/dist/launch.h"

namespace grpo::dist {

/// A rehearsed failure: what the environment variable GRPO_DRILL asks of one rank. For operators, who see on their own
/// cluster how a run ends before they trust it, and for tests.
struct Drill {
  enum class Action { kKill, kStop, kThrow, kSleep };
  int64_t rank = 0;
  std::optional<int64_t> step;  // none: whenever the rank enters the phase
  std::string phase;
  Action action = Action::kKill;
  std::optional<int64_t> seconds;  // of a sleep; none: without an end
};

/// GRPO_DRILL="rank=1 step=3 phase=update action=kill", words in any order, step and seconds may be left out; nullopt
/// where it is not set. Throws base::ConfigError for anything else.
std::optional<Drill> drill_from(const Environment& environment, int64_t num_ranks);

/// Whether the drill is meant for this rank in this phase, which is written as Communicator::enter_phase gets it: "step
/// 3, update".
bool applies(const Drill& drill, int64_t rank, const std::string& phase);

/// Does what the drill asks for. until_known: how long to wait before actions after which this process can say nothing
/// more, so that the others know its phase.
void act(const Drill& drill, std::chrono::milliseconds until_known);

}  // namespace grpo::dist
