#pragma once

#include <cstdint>

namespace grpo::base {

/// CPU cores this process may use: its affinity mask and the quota of its control group (rounded up), and
/// GRPO_CORES where it is set, as for the processes that share a host under --nproc; at least 1.
int usable_cores();

/// Memory this process may use: the machine's, or less by the limit of its control group.
int64_t usable_memory_bytes();

}  // namespace grpo::base
