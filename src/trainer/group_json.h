#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// What a rank sends to the others of a group that it has sampled and scored (gather_json.h). group_from() turns it
/// back into a group, that of prompt number `prompt` in the batch. Log-probs and rewards arrive bit for bit;
/// Rollout::kl and what follows it are set later and not sent.
nlohmann::json to_json(const std::vector<Rollout>& group);
std::vector<Rollout> group_from(const nlohmann::json& value, size_t prompt);

}  // namespace grpo::trainer
