#include "trainer/divide_prompts.h"

#include <algorithm>

#include "grpo/base/error.h"
#include "trainer/group_sizes.h"

namespace grpo::trainer {

std::pair<size_t, size_t> share_of(size_t count, const dist::Communicator& communicator) {
  const auto rank = static_cast<size_t>(communicator.rank());
  const auto ranks = static_cast<size_t>(communicator.size());
  return {count * rank / ranks, count * (rank + 1) / ranks};
}

bool steals_prompts(const TrainConfig& config, int64_t ranks) {
  return ranks > 1 && config.rollout.exact && config.distributed.steal_prompts != dist::StealPrompts::kNever;
}

PromptQueue prompt_queue(dist::Communicator& communicator, const TrainConfig& config, int64_t decoded_together,
                         int64_t step) {
  const auto ranks = static_cast<size_t>(communicator.size());
  const auto prompts = static_cast<size_t>(config.rollout.prompts_per_step);
  const size_t share = (prompts + ranks - 1) / ranks;
  const auto at_a_time = static_cast<size_t>(std::max<int64_t>(decoded_together / first_size(config.rollout), 1));
  return {.together = std::min(share, at_a_time),
          .take = [&communicator, name = base::concat("step ", step, ", prompts"), prompts](size_t wanted) {
            const auto amount = static_cast<int64_t>(wanted);
            const auto taken = static_cast<size_t>(communicator.add_shared(name, amount));
            return std::pair(std::min(taken - wanted, prompts), std::min(taken, prompts));
          }};
}

}  // namespace grpo::trainer
