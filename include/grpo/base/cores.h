#pragma once

#include <cstdint>
#include <string>

namespace grpo::base {

/// CPU cores that this process may use: the smallest of its affinity mask, the quotas of its control group and of those
/// around it (rounded up) and, where it is set, GRPO_CORES, which --nproc sets for processes that share a host. At
/// least 1.
int usable_cores();

/// Bytes of memory that this process may use: the machine's memory, or the smallest limit of its control group and of
/// those around it, if that is less.
int64_t usable_memory_bytes();

/// The name by which this machine, or this container, knows itself; "unknown" if it has none.
std::string host_name();

}  // namespace grpo::base
