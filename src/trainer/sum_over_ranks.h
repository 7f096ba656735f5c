#pragma once

#include <vector>

#include "grpo/dist/communicator.h"

namespace grpo::trainer {

/// Adds up, place by place, what each rank has; all give as many. A collective.
std::vector<double> sum_over_ranks(const std::vector<double>& mine, dist::Communicator& communicator);

}  // namespace grpo::trainer
