#include "grpo/metrics/timer.h"

#include <sys/resource.h>
#include <time.h>

#include <fstream>
#include <string>

namespace grpo::metrics {

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

// The ru_maxrss of getrusage begins with the memory of the program that started this one, as a launcher in Python; it
// is only asked where the system does not tell the process's own.
int64_t peak_memory_bytes() {
  constexpr int64_t kKib = 1024;  // Linux counts in KiB
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t peak = 0;
    if (word == "VmHWM:" && status >> peak) return peak * kKib;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * kKib;
}

}  // namespace grpo::metrics
