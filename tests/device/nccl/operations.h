#pragma once

#include <vector>

#include "device/nccl/communicator.h"

namespace grpo::device_nccl {

/// Runs the operations of one call, or of one group of calls, on this thread until they are complete: collectives in
/// their order, then all messages side by side. Throws Stopped when it must end early.
void run(Communicator& ranks, const std::vector<Operation>& operations);

}  // namespace grpo::device_nccl
