#pragma once

#include <string>

namespace grpo::kernels {

/// CUDA devices that this machine's driver offers; 0 without a driver. Loads nothing else.
int cuda_device_count();

/// Whether this build has kernels for CUDA.
bool has_cuda_library();

/// A named range of host time for NVIDIA's tools (NVTX), around what is called until pop_range(). Nothing where CUDA is
/// not loaded.
void push_range(const char* name);
void pop_range();

/// As the driver names it: "NVIDIA H200".
std::string cuda_device_name(int device);

/// Bytes of a device's memory.
double cuda_memory_bytes(int device);

/// Makes tensors on CUDA devices and the kernels for them usable: loads lib/libgrpo_kernels_cuda.so beside the program
/// and LibTorch's CUDA part with it. Returns what is missing, or nothing when all is in place. Later calls return the
/// same.
const std::string& load_cuda();

}  // namespace grpo::kernels
