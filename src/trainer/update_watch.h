#pragma once

#include <cstdint>
#include <functional>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// A watch for the updates of a method's step. It stops them when should_stop says so, and reports their micro-batches
/// to on_progress as StepProgress::Phase::kUpdate. Either function may be empty.
update::Watch update_watch(int64_t step, const std::function<bool()>& should_stop,
                           const std::function<void(const StepProgress&)>& on_progress);

}  // namespace grpo::trainer
