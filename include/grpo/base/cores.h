#pragma once

namespace grpo::base {

/// CPU cores this process may use: its affinity mask and the quota of its control group (rounded up), and
/// GRPO_CORES where it is set, as for the processes that share a host under --nproc; at least 1.
int usable_cores();

}  // namespace grpo::base
