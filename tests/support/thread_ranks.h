#pragma once

#include <functional>

#include "grpo/dist/communicator.h"

namespace grpo::dist {

/// Runs `body` once per rank, each in a thread of its own with a communicator that really reduces between them. What a
/// body throws is rethrown; a rank that throws alone leaves the others waiting, so make all throw or none.
void run_ranks(int64_t size, const std::function<void(Communicator&)>& body);

}  // namespace grpo::dist
