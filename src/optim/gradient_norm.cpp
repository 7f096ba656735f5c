#include "grpo/optim/gradient_norm.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>

#include <algorithm>
#include <cmath>

#include "optim/foreach_norm.h"

namespace grpo::optim {
namespace {

constexpr int64_t kChunk = 1 << 10;

at::Tensor sum_of_squares(const at::Tensor& norms) { return norms.to(at::kDouble).square().sum(); }

// The sum of squares as a double on the tensor's device; a single copy to the host then serves all tensors.
at::Tensor squared_norm(const at::Tensor& gradient) {
  const auto flat = gradient.reshape({-1});
  const int64_t whole = flat.numel() / kChunk * kChunk;
  const auto rows = flat.narrow(0, 0, whole).view({-1, kChunk});
  const auto rest = flat.narrow(0, whole, flat.numel() - whole).unsqueeze(0);
  return sum_of_squares(at::linalg_vector_norm(rows, 2, at::IntArrayRef{1})) +
         sum_of_squares(at::linalg_vector_norm(rest, 2, at::IntArrayRef{1}));
}

}  // namespace

double gradient_norm(const std::vector<at::Tensor>& gradients) {
  const at::NoGradGuard no_grad;
  if (!gradients.empty() && !gradients[0].is_cpu())
    return foreach_norm(gradients);  // on the CPU this would copy each tensor to double
  at::Tensor total;
  for (const at::Tensor& gradient : gradients)
    total = total.defined() ? total + squared_norm(gradient) : squared_norm(gradient);
  return total.defined() ? std::sqrt(total.item<double>()) : 0.0;
}

double clip_scale(double norm, double max_norm) {
  return max_norm > 0.0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace grpo::optim
