#pragma once

#include <cstdint>

#include "grpo/base/fields.h"

namespace grpo::rollout {

/// How a token is drawn from the model's distribution. Rollouts, evaluations and commands all use this one field list:
/// each line in it is a key of `rollout` and of `eval`, and a flag of `grpo generate` and `grpo eval`.
struct SamplingConfig {
  double temperature = 1.0;  // 0: greedy
  double top_p = 1.0;
  int64_t top_k = 0;
  GRPO_FIELDS(f) {
    f("temperature", temperature, "logits are divided by it; 0 is greedy", base::at_least(0));
    f("top_p", top_p, "nucleus sampling; 1 is off", base::Range{.min = 0, .max = 1, .open_min = true});
    f("top_k", top_k, "keep the k most likely tokens; 0 is off (other programs write -1)", base::at_least(0));
  }
};

}  // namespace grpo::rollout
