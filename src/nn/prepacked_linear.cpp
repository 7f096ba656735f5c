#include "grpo/nn/prepacked_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>

#include "nn/onednn.h"

namespace grpo::nn {
namespace {

constexpr int64_t kRowsHint = 32;  // the layout is chosen for about so many rows and works with any number

// Whether this machine has the layout for bf16; oneDNN refuses it where it would have to emulate bf16.
bool has_bf16_layout() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

}  // namespace

bool can_prepack(const at::Tensor& weight) {
  if (!weight.is_cpu() || !onednn::available()) return false;
  return weight.scalar_type() == at::kFloat || (weight.scalar_type() == at::kBFloat16 && has_bf16_layout());
}

at::Tensor prepack_linear(const at::Tensor& weight) {
  const auto plain = weight.detach();
  if (!can_prepack(plain)) return plain;
  return onednn::reorder_weight(plain, kRowsHint);
}

at::Tensor prepacked_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (!weight.is_mkldnn()) return at::linear(x, weight, bias);
  return onednn::linear(x, weight, bias);
}

}  // namespace grpo::nn
