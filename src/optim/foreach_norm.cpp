#include "optim/foreach_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/stack.h>

namespace grpo::optim {

double foreach_norm(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> filled;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.numel() > 0) filled.push_back(tensor);
  }
  if (filled.empty()) return 0.0;
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(filled, 2, at::kDouble))).item<double>();
}

}  // namespace grpo::optim
