#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grpo/models/model_config.h"
#include "grpo/update/sequence.h"

namespace grpo::update {

/// The indices of the sequences that this rank trains, in rising order. Ranks get about equal work: the groups are
/// handed out whole, the most laborious first, each to the rank that has least. Every rank computes the same division.
std::vector<size_t> balanced_share(const std::vector<Sequence>& sequences, const models::ModelConfig& model,
                                   int64_t rank, int64_t ranks);

}  // namespace grpo::update
