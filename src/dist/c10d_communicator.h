#pragma once

#include <c10/util/intrusive_ptr.h>

#include <cstdint>
#include <memory>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "dist/watch.h"
#include "grpo/dist/communicator.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {

/// A communicator over c10d's groups. `group` (Gloo) takes tensors on the CPU and `device_group` (NCCL) those on CUDA.
/// Without a device_group CUDA tensors are copied to the CPU and back.
std::unique_ptr<Communicator> make_c10d_communicator(const Ranks& ranks, int64_t timeout_s,
                                                     std::shared_ptr<Watch> watch,
                                                     c10::intrusive_ptr<c10d::Backend> group,
                                                     c10::intrusive_ptr<c10d::Backend> device_group);

}  // namespace grpo::dist
