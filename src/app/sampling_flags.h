#pragma once

#include <cstdint>

namespace grpo::app {

/// The flags that say how completions are sampled.
struct SamplingFlags {
  int64_t samples = 1;
  double temperature = 1.0;
  double top_p = 1.0;
  int64_t top_k = 0;
  int64_t max_new_tokens = 1;
};

/// Throws base::ConfigError naming the flag that is out of range.
void check(const SamplingFlags& flags);

}  // namespace grpo::app
