#pragma once

#include <cstdint>
#include <vector>

#include "grpo/base/random.h"

namespace grpo::kernels {

/// Which numbers of a key: one (draw, sample, position) each.
struct UniformIndex {
  uint64_t draw = 0;
  uint32_t sample = 0;
  uint32_t position = 0;
};

/// base::uniform(key, index...) for each index, on the CPU.
std::vector<double> keyed_uniforms(const base::RandomKey& key, const std::vector<UniformIndex>& indices);

/// Whether the CUDA kernels library lies beside the program and loads.
bool has_cuda_library();

/// CUDA devices that this machine has and this build can use; 0 without the CUDA kernels library.
int cuda_device_count();

/// The same numbers, bit for bit, computed on the current CUDA device.
/// Throws base::Error when there is no device, or with CUDA's own message.
std::vector<double> keyed_uniforms_cuda(const base::RandomKey& key, const std::vector<UniformIndex>& indices);

}  // namespace grpo::kernels
