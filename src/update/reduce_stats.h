#pragma once

#include "grpo/dist/communicator.h"
#include "grpo/update/update.h"

namespace grpo::update {

/// Adds up tokens, groups and figures over all ranks; of a figure with Fold::kMax it takes the largest. A collective,
/// with the same result on every rank.
void reduce(UpdateStats& stats, dist::Communicator& communicator);

}  // namespace grpo::update
