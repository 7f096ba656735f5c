#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "grpo/models/choices.h"

namespace grpo::models {

/// kAuto is a GPU if this build and this machine have one, else the CPU. local_rank is this process's number among
/// those of its host; it uses the device of that number. Throws base::ConfigError for kCuda without a GPU, and if
/// there are fewer devices than ranks.
at::Device resolve_device(DeviceChoice choice, int64_t local_rank = 0);

/// Size of a CUDA device's memory.
double device_memory_bytes(at::Device device);

/// The most memory of a CUDA device that LibTorch's allocator has held at a time.
double peak_device_bytes(at::Device device);

/// Makes this CUDA device the current one of the calling thread.
void use_device(at::Device device);

/// The dtype that config.json of a model folder names: float32, float16 or bfloat16. One that names none of these, or
/// has no dtype, counts as bfloat16.
at::ScalarType stored_dtype(const std::filesystem::path& model_folder);

/// kAuto is float32 on the CPU; elsewhere it is float32 if the folder's config.json says so, and bfloat16 if not.
at::ScalarType resolve_dtype(DtypeChoice choice, const std::filesystem::path& model_folder, at::Device device);

/// The dtype's name in transformers: "float32", "bfloat16" or "float16".
std::string dtype_name(at::ScalarType dtype);

}  // namespace grpo::models
