#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grpo/models/model_config.h"
#include "grpo/update/sequence.h"
#include "grpo/update/share_prompts.h"

namespace grpo::update {

/// The indices of the sequences that this rank trains, in rising order. Ranks get about equal work: the families
/// (families.h) are handed out whole, the most laborious first, each to the rank that has least. Where it makes the
/// work of the rank that has most smaller, all families are divided first, although each part then has a prompt of its
/// own. Every rank computes the same division.
std::vector<size_t> balanced_share(const std::vector<Sequence>& sequences, const models::ModelConfig& model,
                                   SharePrompts share, int64_t rank, int64_t ranks);

}  // namespace grpo::update
