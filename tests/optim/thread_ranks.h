#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "grpo/dist/communicator.h"

namespace grpo::optim {

/// Runs `body` once per rank, each in a thread of its own with a communicator that really reduces between them.
void run_ranks(int64_t size, const std::function<void(dist::Communicator&)>& body);

}  // namespace grpo::optim
