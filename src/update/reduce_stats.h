#pragma once

#include "grpo/dist/communicator.h"
#include "grpo/update/update.h"

namespace grpo::update {

/// Turns what each rank measured over its own micro-batches into sums (or maxima, where a figure is one) over all
/// ranks. A collective; the result is the same on every rank.
void reduce(UpdateStats& stats, dist::Communicator& communicator);

}  // namespace grpo::update
