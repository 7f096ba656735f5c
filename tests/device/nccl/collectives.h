#pragma once

#include "device/nccl/communicator.h"

namespace grpo::device_nccl {

/// Runs one collective. Where the ranks have come for different ones it says so and waits to be aborted: on GPUs they
/// would hang.
void run_collective(Communicator& ranks, const Operation& operation);

/// Says on stderr that two ranks do not fit together, and waits to be aborted.
[[noreturn]] void hang(Communicator& ranks, int rank, const Call& mine, const Call& theirs);

}  // namespace grpo::device_nccl
