#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/trainer/rollout_batch.h"

namespace grpo::trainer {

/// This rank's share [first, last) of `count` prompts: equal but for one.
std::pair<size_t, size_t> share_of(size_t count, const dist::Communicator& communicator);

/// Every rank's value, by rank, sent as CBOR.
std::vector<nlohmann::json> all_gather_json(const nlohmann::json& value, dist::Communicator& communicator);

/// Bytes that may be no UTF-8, and back.
nlohmann::json bytes_of(const std::string& text);
std::string text_of(const nlohmann::json& bytes);

/// What a rank tells the others of the groups it sampled and scored, and back. Log-probs and rewards bit for bit.
nlohmann::json to_json(const std::vector<Rollout>& group);
std::vector<Rollout> group_from(const nlohmann::json& value, size_t prompt);

}  // namespace grpo::trainer
