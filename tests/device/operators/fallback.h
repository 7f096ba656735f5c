#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

namespace grpo::host_device {

/// Any operator: memory for its results from LibTorch's allocator, then, as a kernel, the CPU's version of the operator
/// on aliases.
void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack);

}  // namespace grpo::host_device
