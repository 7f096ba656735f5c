#pragma once

#include "device/runtime/memory.h"

namespace grpo::host_device {

/// Writes GRPO_HOST_DEVICE_REPORT, where there is one, when the peaks have grown enough. It is current also when the
/// program is killed. Called by one thread at a time.
void report(const MemoryCounts& counts);

}  // namespace grpo::host_device
