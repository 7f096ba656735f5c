#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

// oneDNN's operators, called by the names under which LibTorch registers them, since they have no public C++ function.
namespace grpo::nn::onednn {

/// Whether LibTorch was built with oneDNN and it is switched on.
bool available();

/// x W^T + b. x: [T, in], weight: [out, in] (any strides, or from reorder_weight).
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias);

/// `weight` in the layout that suits about `rows` rows.
at::Tensor reorder_weight(const at::Tensor& weight, int64_t rows);

}  // namespace grpo::nn::onednn
