#pragma once

#include <vector>

#include "device/nccl/communicator.h"

namespace grpo::device_nccl {

/// Sends and receives side by side until each is complete: a message has been sent when all of it has been taken.
/// Messages between the same two ranks keep their order.
void pass_messages(Communicator& ranks, const std::vector<Operation>& messages);

}  // namespace grpo::device_nccl
