#pragma once

#include <cuda_runtime_api.h>

// How the functions of libcudart are defined here.
#define HOST_EXPORT __attribute__((visibility("default")))
#define HOST_API extern "C" HOST_EXPORT cudaError_t

namespace grpo::host_device::api {

inline constexpr int kSharedMemory = 48 << 10;  // of a block, unless its kernel's attribute allows more

int current_device();

}  // namespace grpo::host_device::api
