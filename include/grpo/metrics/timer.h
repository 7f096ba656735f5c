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

/// The largest resident set this process has had, in bytes.
int64_t peak_memory_bytes();

}  // namespace grpo::metrics
