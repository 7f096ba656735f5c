#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

// oneDNN's operators. They have no public C++ function, so they are called by the names under
// which LibTorch registers them.
namespace grpo::nn::onednn {

/// Whether LibTorch was built with oneDNN and it is switched on.
bool available();

/// x W^T + b. x: [T, in]; weight: [out, in] of any strides, or from reorder_weight.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

/// `weight` in a layout that suits inputs of about `rows` rows.
at::Tensor reorder_weight(const at::Tensor& weight, int64_t rows);

}  // namespace grpo::nn::onednn
