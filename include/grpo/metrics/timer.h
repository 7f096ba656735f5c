#pragma once

#include <chrono>
#include <cstdint>

namespace grpo::metrics {

/// Seconds since it was made, by a clock that never goes back.
class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// Seconds that all threads of this process have computed, waiting left out: on a machine that does other work too,
/// what a clock on the wall cannot tell.
double cpu_seconds();

/// The largest resident set this process has had, in bytes.
int64_t peak_memory_bytes();

}  // namespace grpo::metrics
