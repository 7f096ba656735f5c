#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "grpo/io/safetensors.h"

namespace grpo::models {

at::ScalarType scalar_type(io::DType dtype);
io::DType io_dtype(at::ScalarType type);

/// The bytes as a CPU tensor that shares their memory: valid as long as they are, and only to be read.
at::Tensor tensor_view(const io::TensorBytes& bytes);

/// A contiguous CPU tensor's memory as bytes; valid as long as the tensor is.
io::TensorBytes tensor_bytes(const at::Tensor& tensor);

/// The tensor in host memory, contiguous: always a copy, or only where there is no other way.
at::Tensor to_host(const at::Tensor& tensor, bool always_copy);

}  // namespace grpo::models
