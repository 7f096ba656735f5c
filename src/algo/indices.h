#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::algo {

/// [n] int64 on the device. They come from pinned memory, so that the host does not wait for the device.
at::Tensor indices_on(at::Device device, const std::vector<int64_t>& indices);

}  // namespace grpo::algo
