#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "grpo/models/choices.h"

namespace grpo::models {

/// kAuto is a GPU if this build and machine have one, else the CPU. local_rank: this process's number among those of
/// its host; it takes the device of that number. Throws base::ConfigError for kCuda where there is no GPU, and where
/// there are fewer devices than ranks.
at::Device resolve_device(DeviceChoice choice, int64_t local_rank = 0);

/// The size of a CUDA device's own memory.
double device_memory_bytes(at::Device device);

/// The most that LibTorch's allocator has ever held of a CUDA device's memory.
double peak_device_bytes(at::Device device);

/// Makes a CUDA device the one this thread launches on.
void use_device(at::Device device);

/// kAuto is float32 on the CPU, the dtype in the folder's config.json elsewhere.
at::ScalarType resolve_dtype(DtypeChoice choice, const std::filesystem::path& model_folder, at::Device device);

/// As transformers spells it: "float32", "bfloat16", "float16".
std::string dtype_name(at::ScalarType dtype);

}  // namespace grpo::models
