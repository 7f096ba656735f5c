#pragma once

#include <cstddef>
#include <vector>

#include "grpo/dist/communicator.h"
#include "grpo/models/model_config.h"
#include "grpo/update/update.h"

namespace grpo::update {

/// The indices of the sequences that this rank trains. Ranks get about equal work (longest first to whoever has least);
/// every rank computes the same division. With one rank: all.
std::vector<size_t> balanced_share(const std::vector<Sequence>& sequences, const models::ModelConfig& model,
                                   int64_t rank, int64_t ranks);

/// Sums over micro-batches become sums over ranks.
void reduce(UpdateStats& stats, dist::Communicator& communicator);

}  // namespace grpo::update
