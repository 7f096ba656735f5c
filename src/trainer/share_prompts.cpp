#include "trainer/share_prompts.h"

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::trainer {

std::pair<size_t, size_t> share_of(size_t count, const dist::Communicator& communicator) {
  const auto rank = static_cast<size_t>(communicator.rank());
  const auto ranks = static_cast<size_t>(communicator.size());
  return {count * rank / ranks, count * (rank + 1) / ranks};
}

bool shares_prompts(const TrainConfig& config, int64_t ranks) {
  return ranks > 1 && config.rollout.exact && config.distributed.steal_prompts != dist::StealPrompts::kNever;
}

rollout::RequestQueue prompt_queue(dist::Communicator& communicator, const TrainConfig& config,
                                   int64_t decoded_together, int64_t step, size_t num_prompts) {
  const auto ranks = static_cast<size_t>(communicator.size());
  const size_t share = (num_prompts + ranks - 1) / ranks;
  const size_t at_a_time = static_cast<size_t>(std::max<int64_t>(decoded_together / config.rollout.group_size, 1));
  return {.together = std::min(share, at_a_time),
          .take = [&communicator, name = base::concat("step ", step, ", prompts"), num_prompts](size_t wanted) {
            const auto amount = static_cast<int64_t>(wanted);
            const auto taken = static_cast<size_t>(communicator.add_shared(name, amount));
            return std::pair(std::min(taken - wanted, num_prompts), std::min(taken, num_prompts));
          }};
}

}  // namespace grpo::trainer
