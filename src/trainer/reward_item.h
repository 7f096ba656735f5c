#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// What a reward sees of a completion. golds: prompt.golds(). text: the assistant's whole turn (Prompt::begun and the
/// completion). Everything that is passed must outlive the item, which only refers to it.
reward::Item item_of(const Prompt& prompt, std::span<const std::string> golds, const rollout::Completion& completion,
                     std::string_view text, int64_t sample);

}  // namespace grpo::trainer
