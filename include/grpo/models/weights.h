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

/// A contiguous copy in host memory, never the tensor itself.
at::Tensor host_copy(const at::Tensor& tensor);

}  // namespace grpo::models
