#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace grpo::algo {

/// The indices as an int64 tensor [n] on the device. They are copied from pinned memory, so that the host does not wait
/// for the device.
at::Tensor indices_on(at::Device device, const std::vector<int64_t>& indices);

}  // namespace grpo::algo
