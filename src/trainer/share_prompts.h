#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "grpo/dist/communicator.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// This rank's share [first, last) of `count` prompts: equal but for one.
std::pair<size_t, size_t> share_of(size_t count, const dist::Communicator& communicator);

/// Whether the ranks take a step's prompts from a queue that they share (distributed.steal_prompts), so that a slow
/// rank samples fewer. Otherwise each rank has an equal run of them.
bool shares_prompts(const TrainConfig& config, int64_t ranks);

/// The step's prompts, from which ranks take some whenever they have room for them.
struct PromptQueue {
  size_t together = 1;  // prompts that one rank works on at a time
  /// The next [first, last) of the prompts, at most `wanted`; empty when there are none left.
  std::function<std::pair<size_t, size_t>(size_t wanted)> take;
};

/// The queue of the prompts of step `step`, which is a counter in the store. A rank works on at most its equal share at
/// a time, so that ranks which start together split the prompts evenly, and on no more than it can decode together.
PromptQueue prompt_queue(dist::Communicator& communicator, const TrainConfig& config, int64_t decoded_together,
                         int64_t step);

}  // namespace grpo::trainer
