#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <optional>

namespace grpo::host_device {

/// What the operator would return, as tensors of the Meta device, where LibTorch has no version of it for shapes alone
/// and this project calls it with much memory. None: nothing is known.
std::optional<torch::jit::Stack> known_shapes(const c10::OperatorHandle& op, const torch::jit::Stack& arguments);

}  // namespace grpo::host_device
