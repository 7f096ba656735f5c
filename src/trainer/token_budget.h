#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "grpo/trainer/grpo_step.h"

namespace grpo::trainer {

/// LibTorch's CPU allocator ends the process when memory runs out, unless it is told to throw. Before anything that should start over.
void throw_when_memory_runs_out();

/// Whether an exception says that a device's or the process's memory was not enough.
bool is_out_of_memory(const std::exception& error);

/// After memory ran out in a pass over `rollouts`: halves context.micro_batch_tokens, for this update and later ones, and logs it.
/// Throws base::Error naming what would help where halving does not: for a single rollout, or where other ranks have parts of the
/// gradient. Call it outside the catch block, so that what the pass held is gone.
void shrink_micro_batches(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts, const std::string& error);

/// Runs `pass` over each of the micro-batches of `rollouts`. Where memory runs out, `drop` is called and all are run again, in
/// smaller micro-batches.
void run_in_micro_batches(StepContext& context, const RolloutBatch& batch, const std::vector<size_t>& rollouts,
                          const std::function<void(const std::vector<size_t>& part, size_t number, size_t count)>& pass,
                          const std::function<void()>& drop);

}  // namespace grpo::trainer
