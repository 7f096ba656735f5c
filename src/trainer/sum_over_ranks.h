#pragma once

#include <vector>

#include "grpo/dist/communicator.h"

namespace grpo::trainer {

/// The sums over ranks of the numbers at each place. All ranks give equally many. A collective.
std::vector<double> sum_over_ranks(const std::vector<double>& mine, dist::Communicator& communicator);

}  // namespace grpo::trainer
