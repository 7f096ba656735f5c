#pragma once

#include <nlohmann/json_fwd.hpp>

#include "grpo/report/run_summary.h"

namespace grpo::report {

struct SampleLimits {
  size_t steps = 3;        // steps: the first, the last and some between them
  size_t groups = 6;       // groups per step, in prompt order
  size_t completions = 4;  // completions per group, a right and a wrong one if there are both
  size_t bytes = 3000;     // bytes per text
};

/// Some of the run's rollouts as [{step, groups: [{prompt_id, prompt, gold, size, completions: [{sample, text, answer,
/// verdict, reward, advantage, finish_reason, tokens}]}]}]. `size` counts all completions of the group.
nlohmann::json rollout_samples(const RunSummary& run, const SampleLimits& limits);

}  // namespace grpo::report
