#pragma once

#include <string>

namespace grpo::kernels {

/// The number of CUDA devices that the driver offers; 0 without a driver. Loads the driver and nothing else.
int cuda_device_count();

/// Whether this build has kernels for CUDA.
bool has_cuda_library();

/// Opens a named range of host time for NVIDIA's profilers (NVTX), which pop_range() closes. Both do nothing until CUDA
/// is loaded.
void push_range(const char* name);
void pop_range();

/// The driver's name of a device, such as "NVIDIA H200". Throws base::Error when there is no such device.
std::string cuda_device_name(int device);

/// The size of a device's memory in bytes. Throws base::Error when there is no such device.
double cuda_memory_bytes(int device);

/// Makes tensors on CUDA devices and the kernels for them usable: loads lib/libgrpo_kernels_cuda.so beside the program
/// and LibTorch's CUDA part with it. Returns what is missing, or nothing when all is in place. Later calls return the
/// same.
const std::string& load_cuda();

}  // namespace grpo::kernels
