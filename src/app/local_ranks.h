#pragma once

#include <cstdint>
#include <string>

namespace grpo::app {

/// Sets the name that ps, top and ss show for this process: "grpo-train 3". It has at most 15
/// characters, enough for 9,999 ranks.
void name_rank(int64_t rank);

/// Whether this process was started by run_local_ranks.
bool is_local_rank();

/// The signal that run_local_ranks sends to the other ranks when one was killed; its value
/// is the number of the dead rank.
int death_signal();

/// Starts this program `count` more times with the same arguments, as ranks 0 to count - 1 of
/// this host, and waits for them.
/// Output: each line of a rank is written with "[rank] " before it, or unchanged without `label`; a line that has no
/// end yet is written in pieces of 1 MiB. A reader that takes nothing stops neither the ranks nor this process from
/// noticing how they end (see LineWriter).
/// Signals: SIGINT, SIGTERM, SIGUSR1, SIGUSR2 and SIGHUP (as SIGTERM) are passed on to the ranks; a reader of our
/// output that is gone counts as SIGTERM.
/// Ends: when a rank fails, the others get 2.5 s to say why they end too, or 6 s if the rank was killed
/// without a word; then they are killed. When this process dies, the ranks die too. Each rank may use its
/// share of the cores (GRPO_CORES).
/// Returns the exit code of the first rank that failed (128 + n if signal n killed it); otherwise kFailed if lines are
/// missing from stdout, kStopped if any rank was stopped, else kDone.
int run_local_ranks(int64_t count, bool label = true);

}  // namespace grpo::app
