#pragma once

#include <memory>

#include "grpo/dist/communicator.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {

/// Joins the other ranks over c10d: they meet in a TCPStore and exchange data by Gloo and, where every rank can, NCCL.
/// Waits until all have come. Throws base::DistError naming the ranks that did not come within config.timeout_s.
std::unique_ptr<Communicator> join_process_group(const Ranks& ranks, const DistributedConfig& config);

}  // namespace grpo::dist
