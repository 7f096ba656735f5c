#include "app/sampling_flags.h"

#include <cmath>

#include "grpo/base/error.h"

namespace grpo::app {

void check(const SamplingFlags& flags) {
  const auto require = [](bool holds, const char* what, auto value) {
    if (!holds) throw base::ConfigError(base::concat(what, "; it is ", value));
  };
  require(flags.samples >= 1, "--samples must be at least 1", flags.samples);
  require(flags.max_new_tokens >= 1, "--max-new-tokens must be at least 1", flags.max_new_tokens);
  require(std::isfinite(flags.temperature) && flags.temperature >= 0.0,
          "--temperature must be a number from 0 (greedy) on", flags.temperature);
  require(flags.top_p > 0.0 && flags.top_p <= 1.0, "--top-p must be above 0 and at most 1 (1 is off)", flags.top_p);
  require(flags.top_k >= 0, "--top-k must not be below 0 (0 is off, what other programs write as -1)", flags.top_k);
}

}  // namespace grpo::app
