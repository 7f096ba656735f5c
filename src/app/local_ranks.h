#pragma once

#include <cstdint>
#include <string>

namespace grpo::app {

/// What ps, top and ss call this process: "grpo-train 3". At most 15 characters, so that up to 9,999 ranks fit.
void name_rank(int64_t rank);

/// Whether this process was started by run_local_ranks.
bool is_local_rank();

/// What run_local_ranks sends the other ranks when one was killed; its value is the dead one's number.
int death_signal();

/// Starts this program `count` more times with the same arguments, as ranks 0 ... count - 1 of this host, and waits for
/// them. Each line they write comes out with "[rank] " before it, or as it is without `label`, one without an end in
/// pieces of 1 MiB; SIGINT, SIGTERM, SIGUSR1, SIGUSR2 and SIGHUP (as SIGTERM) are passed on; a reader of our output
/// that is gone counts as SIGTERM. A reader that takes nothing stops neither the ranks nor the notice of their ends
/// (see LineWriter). When one fails, the others have a moment to say why they end too, 2.5 s or, when it was killed
/// without a word, 6 s; then they are killed. When this process dies, so do they. Each may use its share of the cores
/// (GRPO_CORES). Returns the first failing rank's exit code (128 + n: killed by signal n); else kFailed if stdout lacks
/// lines, kStopped if any was stopped, kDone.
int run_local_ranks(int64_t count, bool label = true);

}  // namespace grpo::app
