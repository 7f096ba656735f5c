#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "grpo/io/safetensors.h"

namespace grpo::models {

at::ScalarType scalar_type(io::DType dtype);
io::DType io_dtype(at::ScalarType type);

/// A CPU tensor that shares the memory of these bytes. It is valid as long as they are, and must not be written to.
at::Tensor tensor_view(const io::TensorBytes& bytes);

/// The memory of a contiguous CPU tensor as bytes, which are valid as long as the tensor is.
io::TensorBytes tensor_bytes(const at::Tensor& tensor);

/// The tensor in host memory, contiguous. With always_copy it is a copy; otherwise it is one only
/// if the tensor is not already so.
at::Tensor to_host(const at::Tensor& tensor, bool always_copy);

}  // namespace grpo::models
