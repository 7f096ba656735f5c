#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "grpo/dist/communicator.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// This rank's share [first, last) of `count` prompts. The shares of two ranks differ by one at most.
std::pair<size_t, size_t> share_of(size_t count, const dist::Communicator& communicator);

/// Whether the ranks take a step's prompts from a common queue (distributed.steal_prompts), so that a slow rank samples
/// fewer. Otherwise each rank has its share_of() them.
bool steals_prompts(const TrainConfig& config, int64_t ranks);

/// A step's prompts as a queue, from which each rank takes some whenever it has room for them.
struct PromptQueue {
  size_t together = 1;  // the most prompts that a rank should work on at a time
  /// Takes the next [first, last) of the prompts, `wanted` or fewer; empty when there are none left.
  std::function<std::pair<size_t, size_t>(size_t wanted)> take;
};

/// The queue of the prompts of step `step`, which is a counter in the communicator's store. A rank works on no more
/// than an equal share at a time, so that ranks which start together split the prompts evenly, and on no more than it
/// can decode together.
PromptQueue prompt_queue(dist::Communicator& communicator, const TrainConfig& config, int64_t decoded_together,
                         int64_t step);

}  // namespace grpo::trainer
