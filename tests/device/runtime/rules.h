#pragma once

#include <cuda_runtime_api.h>

#include <string>
#include <vector>

// What the device refuses. Each error names the call and what is wrong with it; it is what cudaGetErrorString answers
// for it on the thread that got it, and it is printed.

namespace grpo::host_device {

/// The calling thread's last error.
cudaError_t fail(cudaError_t error, const std::string& message);
cudaError_t take_last_error();
cudaError_t last_error();
const char* describe(cudaError_t error);

/// Work failed after its launch. As on a real device every later call that asks for the device's state returns the
/// error.
void fail_device(const std::string& message);
cudaError_t device_error();

/// Captures: what CUDA calls unsafe ends them with an error.
enum class During { kAllowed, kRefused };
During during_capture();
cudaError_t refuse_in_capture(const char* call);

}  // namespace grpo::host_device
