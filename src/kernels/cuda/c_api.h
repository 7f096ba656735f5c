#pragma once

#include <cstdint>

// The functions of the CUDA kernels library, which is loaded when a device is asked for: the program itself needs no CUDA
// to start. All pointers are to host memory. A function returns null, or a static message of what went wrong.

extern "C" {

int grpo_cuda_device_count();

/// out[i] = the Philox uniform of (draws[i], samples[i], positions[i]) under the mixed key.
const char* grpo_cuda_keyed_uniforms(const uint32_t key[2], int64_t n, const uint64_t* draws, const uint32_t* samples,
                                     const uint32_t* positions, double* out);

}
