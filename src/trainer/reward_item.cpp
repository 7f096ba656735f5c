#include "trainer/reward_item.h"

namespace grpo::trainer {

reward::Item item_of(const Prompt& prompt, std::span<const std::string> golds, const rollout::Completion& completion,
                     std::string_view text, int64_t sample) {
  return {.problem = prompt.id,
          .golds = golds,
          .fields = prompt.fields,
          .row = prompt.whole_row,
          .prompt = prompt.text,
          .prompt_ids = prompt.ids,
          .sample = sample,
          .text = text,
          .ids = completion.ids,
          .truncated = completion.finish_reason == rollout::FinishReason::kLength};
}

}  // namespace grpo::trainer
