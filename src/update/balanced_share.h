#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grpo/models/model_config.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// The indices of the sequences that this rank trains. Ranks get about equal work (longest first to whoever has least);
/// a group goes to one rank. Every rank computes the same division. With one rank: all.
std::vector<size_t> balanced_share(const std::vector<Sequence>& sequences, const models::ModelConfig& model,
                                   int64_t rank, int64_t ranks);

}  // namespace grpo::update
