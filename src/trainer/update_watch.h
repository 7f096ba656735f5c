#pragma once

#include <cstdint>
#include <functional>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// Who looks on while an update of a method's step runs: on_progress hears of micro-batches as of a step's second
/// phase. Either function may be empty.
update::Watch update_watch(int64_t step, const std::function<bool()>& should_stop,
                           const std::function<void(const StepProgress&)>& on_progress);

}  // namespace grpo::trainer
