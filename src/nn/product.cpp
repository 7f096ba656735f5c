#include "nn/product.h"

#include <ATen/ATen.h>

#include "nn/onednn.h"

namespace grpo::nn {

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const bool empty = a.numel() == 0 || b.numel() == 0;
  if (empty || !a.is_cpu() || a.scalar_type() != at::kFloat || !onednn::available()) return at::mm(a, b);
  return onednn::linear(a, b.t(), std::nullopt);
}

}  // namespace grpo::nn
