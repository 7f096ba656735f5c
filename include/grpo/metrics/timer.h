#pragma once

#include <chrono>
#include <cstdint>

namespace grpo::metrics {

/// Measures seconds since its construction, by a clock that never goes back.
class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// A rate; 0 where no time has passed.
inline double per_second(int64_t count, double seconds) {
  return seconds > 0.0 ? static_cast<double>(count) / seconds : 0.0;
}

/// Seconds for which the threads of this process have computed so far; waiting does not count. On a machine that does
/// other work too, a wall clock cannot tell this.
double cpu_seconds();

/// The largest amount of physical memory (resident set) that this process has used so far, in bytes.
int64_t peak_memory_bytes();

}  // namespace grpo::metrics
