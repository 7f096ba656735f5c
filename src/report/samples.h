#pragma once

#include <nlohmann/json_fwd.hpp>

#include "grpo/report/run_summary.h"

namespace grpo::report {

struct SampleLimits {
  size_t steps = 3;          // first, ..., last of those that were written
  size_t groups = 6;         // of a step, in prompt order
  size_t completions = 4;    // of a group; a right and a wrong one are kept where there are both
  size_t characters = 3000;  // of a text
};

/// Some of the run's rollouts: [{step, groups: [{prompt_id, prompt, gold, size, completions: [{sample, text, answer,
/// verdict, reward, advantage, finish_reason, tokens}]}]}].
nlohmann::json rollout_samples(const RunSummary& run, const SampleLimits& limits);

}  // namespace grpo::report
