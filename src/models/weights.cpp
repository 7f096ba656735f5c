#include "grpo/models/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>

#include "grpo/base/error.h"

namespace grpo::models {
namespace {

constexpr std::pair<io::DType, at::ScalarType> kTypes[] = {
    {io::DType::kF64, at::kDouble},    {io::DType::kF32, at::kFloat}, {io::DType::kF16, at::kHalf},
    {io::DType::kBF16, at::kBFloat16}, {io::DType::kI64, at::kLong},  {io::DType::kI32, at::kInt},
    {io::DType::kI16, at::kShort},     {io::DType::kI8, at::kChar},   {io::DType::kU8, at::kByte},
    {io::DType::kBool, at::kBool}};

}  // namespace

at::ScalarType scalar_type(io::DType dtype) {
  for (const auto& [stored, type] : kTypes) {
    if (stored == dtype) return type;
  }
  GRPO_CHECK(false, "dtype ", static_cast<int>(dtype));
}

io::DType io_dtype(at::ScalarType type) {
  for (const auto& [stored, known] : kTypes) {
    if (known == type) return stored;
  }
  GRPO_CHECK(false, "no safetensors dtype for ", c10::toString(type));
}

at::Tensor tensor_view(const io::TensorBytes& bytes) {
  return at::from_blob(const_cast<std::byte*>(bytes.bytes.data()), bytes.shape,
                       at::TensorOptions(scalar_type(bytes.dtype)));
}

io::TensorBytes tensor_bytes(const at::Tensor& tensor) {
  GRPO_CHECK(tensor.is_contiguous() && tensor.is_cpu(), "tensor_bytes needs a contiguous CPU tensor");
  return {.dtype = io_dtype(tensor.scalar_type()),
          .shape = tensor.sizes().vec(),
          .bytes = {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}};
}

at::Tensor to_host(const at::Tensor& tensor, bool always_copy) {
  return tensor.detach().contiguous().to(at::kCPU, /*non_blocking=*/false, always_copy);
}

}  // namespace grpo::models
