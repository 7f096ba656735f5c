#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/models/model_config.h"
#include "grpo/trainer/grpo_step.h"

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

/// The part of `rollouts` that this rank trains. Ranks get about equal work (longest first to whoever has least); every
/// rank computes the same division. With one rank: all.
std::vector<size_t> balanced_share(const RolloutBatch& batch, const std::vector<size_t>& rollouts, const models::ModelConfig& model,
                                   int64_t rank, int64_t ranks);

/// Sums over micro-batches become sums over ranks.
void reduce(UpdateStats& stats, dist::Communicator& communicator);

}  // namespace grpo::trainer
