#include "grpo/metrics/timer.h"

#include <sys/resource.h>

namespace grpo::metrics {

int64_t peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;  // Linux counts in KiB
}

}  // namespace grpo::metrics
