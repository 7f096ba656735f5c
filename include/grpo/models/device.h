#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>

namespace grpo::models {

/// "auto" (a GPU if this build and machine have one, else the CPU), "cpu" or "cuda".
/// Throws base::ConfigError on other names, and on "cuda" where there is none.
at::Device resolve_device(const std::string& name);

/// "float32", "bfloat16", or "auto": float32 on the CPU, the dtype in config.json elsewhere.
/// Throws base::ConfigError on other names.
at::ScalarType resolve_dtype(const std::string& name, const std::filesystem::path& model_folder, at::Device device);

/// As transformers spells it: "float32", "bfloat16", "float16".
std::string dtype_name(at::ScalarType dtype);

}  // namespace grpo::models
