#include "nn/product.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include "grpo/kernels/product.h"
#include "grpo/nn/product_path.h"
#include "nn/onednn.h"

namespace grpo::nn {
namespace {

ProductPath path_for(const at::Tensor& a) {
  const bool has_dense_rows = a.stride(1) == 1 || a.size(1) == 1;
  return has_dense_rows ? product_path(a.scalar_type()) : packed_path(a.scalar_type());
}

// bf16 reaches oneDNN through at::mm.
bool in_onednn(const at::Tensor& a, const at::Tensor& b) {
  const bool empty = a.numel() == 0 || b.numel() == 0;
  return !empty && a.is_cpu() && a.scalar_type() == at::kFloat && path_for(a) == ProductPath::kOneDnn;
}

bool is_own(const at::Tensor& a) { return a.is_cpu() && path_for(a) == ProductPath::kOwn; }

}  // namespace

at::Tensor product(const at::Tensor& a, const at::Tensor& b, const at::Tensor& bias) {
  if (is_own(a)) return kernels::product(a, b, bias);
  if (in_onednn(a, b)) return onednn::linear(a, b.t(), bias.defined() ? std::optional(bias) : std::nullopt);
  if (!bias.defined()) return at::mm(a, b);
  return a.is_cuda() ? at::addmm(bias, a, b) : at::mm(a, b).add_(bias);
}

void product_into(at::Tensor out, const at::Tensor& a, const at::Tensor& b) {
  if (is_own(a)) {
    kernels::product_into(out, a, b);
  } else if (in_onednn(a, b)) {
    out.copy_(product(a, b));
  } else {
    at::mm_out(out, a, b);
  }
}

void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  if (is_own(a)) {
    kernels::add_product(sum, a, b);
  } else if (!a.is_cuda()) {
    sum.add_(product(a, b));
  } else if (a.scalar_type() == at::kFloat) {
    sum.addmm_(a, b);
  } else {
    at::addmm_out(sum, sum, a, b, at::kFloat);
  }
}

}  // namespace grpo::nn
