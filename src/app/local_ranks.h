#pragma once

#include <cstdint>
#include <string>

namespace grpo::app {

/// Whether this process was started by run_local_ranks.
bool is_local_rank();

/// Starts this program `count` more times with the same arguments, as ranks 0 ... count - 1 of this host, and waits for
/// them. Each line they write comes out with "[rank] " before it, or as it is without `label`; SIGINT, SIGTERM and
/// SIGUSR1 are passed on. When one fails, the others have a moment to say why they end too, then they are terminated,
/// then killed, within 5 s; when this process dies, so do they. Each may use its share of the cores (GRPO_CORES).
/// Returns the first failing rank's exit code (128 + n: killed by signal n); else kStopped if any was stopped, else kDone.
int run_local_ranks(int64_t count, bool label = true);

}  // namespace grpo::app
