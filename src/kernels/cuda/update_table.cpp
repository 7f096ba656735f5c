#include "kernels/cuda/update_table.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "kernels/cuda/operands.h"
#include "kernels/cuda/update_launchers.h"
#include "kernels/dense_rows.h"

namespace grpo::kernels::cuda {

std::pair<at::Tensor, at::Tensor> rms_norm_backward(const at::Tensor& grad, const at::Tensor& x,
                                                    const at::Tensor& weight, double eps) {
  GRPO_CHECK(
      grad.sizes() == x.sizes() && grad.scalar_type() == x.scalar_type() && weight.scalar_type() == x.scalar_type(),
      "rms_norm_backward: unequal operands");
  const auto dy = grad.contiguous(), in = x.contiguous(), w = weight.contiguous();
  auto dx = at::empty_like(in);
  const int64_t width = in.size(-1), rows = width == 0 ? 0 : in.numel() / width;
  auto partial = at::empty({(rows + kNormBackwardRows - 1) / kNormBackwardRows, width}, in.options().dtype(at::kFloat));
  check(cuda::rms_norm_backward(element_of(in, "rms_norm_backward"), dy.const_data_ptr(), in.const_data_ptr(),
                                w.const_data_ptr(), dx.mutable_data_ptr(), partial.mutable_data_ptr<float>(), rows,
                                width, static_cast<float>(eps), stream()),
        "rms_norm_backward");
  return {dx, partial.sum(0).to(weight.scalar_type())};
}

void silu_mul_backward_(at::Tensor& grad, const at::Tensor& gate_up, at::Tensor& grad_gate_up) {
  check(
      cuda::silu_mul_backward(element_of(grad, "silu_mul_backward_"), grad.mutable_data_ptr(), gate_up.const_data_ptr(),
                              grad_gate_up.mutable_data_ptr(), grad.size(0), grad.size(1), stream()),
      "silu_mul_backward_");
}

void rope_into(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
               at::Tensor& out) {
  const auto in = with_dense_rows(x);
  const auto places = positions.contiguous(), c = cos.contiguous(), s = sin.contiguous();
  check(cuda::rope_into(element_of(in, "rope_into"), rows_of(in), places.const_data_ptr<int64_t>(),
                        {c.const_data_ptr<float>(), s.const_data_ptr<float>(), c.size(0)}, out.mutable_data_ptr(),
                        out.stride(0), in.size(0), in.size(1), in.size(2), stream()),
        "rope_into");
}

namespace {

HeadRowData data_of(const HeadRows& rows) {
  const auto data = [](const at::Tensor& x) { return static_cast<float*>(x.data_ptr()); };
  return {data(rows.log_probs), data(rows.entropy), data(rows.max), data(rows.log_sum)};
}

const float* data_or_null(const at::Tensor& x) { return x.defined() ? x.const_data_ptr<float>() : nullptr; }

}  // namespace

HeadRows head_rows(const at::Tensor& logits, const at::Tensor& targets, double temperature) {
  const auto empty = [&] { return at::empty({logits.size(0)}, logits.options().dtype(at::kFloat)); };
  const HeadRows rows{.log_probs = empty(), .entropy = empty(), .max = empty(), .log_sum = empty()};
  check(cuda::head_rows(element_of(logits, "head_rows"), logits.const_data_ptr(), targets.const_data_ptr<int64_t>(),
                        static_cast<float>(1.0 / temperature), data_of(rows), logits.size(0), logits.size(1), stream()),
        "head_rows");
  return rows;
}

void head_gradient_(at::Tensor& logits, const at::Tensor& targets, const HeadRows& rows, double temperature,
                    const at::Tensor& g, const at::Tensor& h) {
  check(cuda::head_gradient(element_of(logits, "head_gradient_"), logits.mutable_data_ptr(),
                            targets.const_data_ptr<int64_t>(), static_cast<float>(1.0 / temperature), data_of(rows),
                            data_or_null(g), data_or_null(h), logits.size(0), logits.size(1), stream()),
        "head_gradient_");
}

}  // namespace grpo::kernels::cuda
