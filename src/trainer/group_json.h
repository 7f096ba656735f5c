#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// What a rank tells the others of a group that it sampled and scored (gather_json.h), and back as the group of prompt
/// number `prompt`. Log-probs and rewards arrive bit for bit.
nlohmann::json to_json(const std::vector<Rollout>& group);
std::vector<Rollout> group_from(const nlohmann::json& value, size_t prompt);

}  // namespace grpo::trainer
