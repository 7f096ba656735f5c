#include "grpo/kernels/rowwise.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/zeros.h>

#include <cstring>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cuda/kernel_table.h"
#include "kernels/dense_rows.h"
#include "kernels/parallel.h"

namespace grpo::kernels {
namespace {

using cpu::BFloat16;

// Rows are handed to threads in pieces of at least this many elements.
constexpr int64_t kGrain = 16384;

void check_cpu(const at::Tensor& x, const char* what) {
  GRPO_CHECK(x.is_cpu(), what, " has no kernel for device ", x.device().str());
  GRPO_CHECK(x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16, what, " of ",
             c10::toString(x.scalar_type()));
}

template <typename F>
void for_rows(int64_t rows, int64_t width, F&& f) {
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(width, 1));
  for_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f(r);
  });
}

// cuBLAS chooses its kernel by the shapes alone. Products that all have one shape therefore sum every row in the same
// order.
constexpr int64_t kTileRows = 128;

at::Tensor in_equal_tiles(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  const int64_t rows = x.size(0), tiles = (rows + kTileRows - 1) / kTileRows;
  const auto padded = rows == tiles * kTileRows ? x : at::constant_pad_nd(x, {0, 0, 0, tiles * kTileRows - rows});
  std::vector<at::Tensor> products;
  for (int64_t tile = 0; tile < tiles; ++tile)
    products.push_back(at::linear(padded.narrow(0, tile * kTileRows, kTileRows), weight, bias));
  return at::cat(products).narrow(0, 0, rows);
}

// The tensor that a result is written to.
at::Tensor result_in(const at::Tensor& place, const at::Tensor& like) {
  if (!place.defined()) return at::empty(like.sizes(), like.options());
  GRPO_CHECK(place.is_cpu() && place.sizes() == like.sizes() && place.scalar_type() == like.scalar_type() &&
                 place.is_contiguous(),
             "a place of ", place.sizes(), " ", place.scalar_type(), " for ", like.sizes(), " ", like.scalar_type());
  return place;
}

void add_to(const at::Tensor& x, const at::Tensor& y) {
  check_cpu(x, "add_rms_norm");
  GRPO_CHECK(x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() && x.is_contiguous() && y.is_contiguous(),
             "add_rms_norm: ", x.sizes(), " and ", y.sizes());
  const int64_t n = x.size(-1);
  const auto& f = cpu::functions();
  for_rows(x.numel() / n, n, [&](int64_t r) {
    if (x.scalar_type() == at::kFloat) {
      f.add_f32(mutable_data<float>(x) + r * n, const_data<float>(y) + r * n, n);
    } else {
      f.add_bf16(mutable_data<BFloat16>(x) + r * n, const_data<BFloat16>(y) + r * n, n);
    }
  });
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return rms_norm_into({}, x, weight, eps);
}

at::Tensor rms_norm_into(const at::Tensor& place, const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (x.is_cuda()) return cuda::kernels().rms_norm(x, weight, eps);
  check_cpu(x, "rms_norm");
  GRPO_CHECK(weight.scalar_type() == x.scalar_type(), "rms_norm: weight ", c10::toString(weight.scalar_type()));
  const auto in = x.contiguous();
  auto out = result_in(place, in);
  const int64_t n = in.size(-1);
  const auto& f = cpu::functions();
  for_rows(in.numel() / n, n, [&](int64_t r) {
    if (in.scalar_type() == at::kFloat) {
      f.rms_norm_f32(const_data<float>(in) + r * n, const_data<float>(weight), mutable_data<float>(out) + r * n, n,
                     static_cast<float>(eps));
    } else {
      f.rms_norm_bf16(const_data<BFloat16>(in) + r * n, const_data<BFloat16>(weight),
                      mutable_data<BFloat16>(out) + r * n, n, static_cast<float>(eps));
    }
  });
  return out;
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                                               double eps) {
  return add_rms_norm_into({}, x, y, weight, eps);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm_into(const at::Tensor& place, const at::Tensor& x, const at::Tensor& y,
                                                    const at::Tensor& weight, double eps) {
  if (x.is_cuda()) return cuda::kernels().add_rms_norm(x, y, weight, eps);
  if (place.defined()) add_to(x, y);
  const auto sum = place.defined() ? x : x + y;
  return {sum, rms_norm_into(place, sum, weight, eps)};
}

void take_rows(const at::Tensor& matrix, const at::Tensor& ids, const at::Tensor& place) {
  GRPO_CHECK(matrix.is_cpu() && matrix.is_contiguous() && ids.is_contiguous() && place.is_contiguous() &&
                 place.size(0) == ids.size(0) && place.size(1) == matrix.size(1) &&
                 place.scalar_type() == matrix.scalar_type(),
             "take_rows: ", ids.sizes(), " of ", matrix.sizes(), " into ", place.sizes());
  const auto row_bytes = static_cast<size_t>(matrix.size(1)) * matrix.element_size();
  const auto* from = static_cast<const char*>(matrix.const_data_ptr());
  auto* to = static_cast<char*>(place.mutable_data_ptr());
  for (int64_t i = 0; i < ids.size(0); ++i, to += row_bytes) {
    const int64_t id = ids.const_data_ptr<int64_t>()[i];
    GRPO_CHECK(id >= 0 && id < matrix.size(0), "row ", id, " of ", matrix.size(0));
    std::memcpy(to, from + static_cast<size_t>(id) * row_bytes, row_bytes);
  }
}

std::pair<at::Tensor, at::Tensor> rms_norm_backward(const at::Tensor& grad, const at::Tensor& x,
                                                    const at::Tensor& weight, double eps) {
  if (x.is_cuda()) return cuda::kernels().rms_norm_backward(grad, x, weight, eps);
  check_cpu(x, "rms_norm_backward");
  GRPO_CHECK(grad.sizes() == x.sizes() && grad.scalar_type() == x.scalar_type(), "rms_norm_backward: unequal operands");
  constexpr int64_t kBlock = 64;  // rows per partial sum of the weight's gradient
  const auto dy = grad.contiguous();
  const auto in = x.contiguous();
  auto dx = at::empty_like(in);
  const int64_t n = in.size(-1);
  const int64_t rows = in.numel() / n;
  const int64_t blocks = (rows + kBlock - 1) / kBlock;
  auto partial = at::zeros({blocks, n}, in.options().dtype(at::kFloat));
  const auto& f = cpu::functions();
  for_rows(blocks, kBlock * n, [&](int64_t block) {
    float* dweight = mutable_data<float>(partial) + block * n;
    for (int64_t r = block * kBlock; r < std::min(rows, (block + 1) * kBlock); ++r) {
      const int64_t at = r * n;
      if (in.scalar_type() == at::kFloat) {
        f.rms_norm_backward_f32(const_data<float>(dy) + at, const_data<float>(in) + at, const_data<float>(weight),
                                mutable_data<float>(dx) + at, dweight, n, static_cast<float>(eps));
      } else {
        f.rms_norm_backward_bf16(const_data<BFloat16>(dy) + at, const_data<BFloat16>(in) + at,
                                 const_data<BFloat16>(weight), mutable_data<BFloat16>(dx) + at, dweight, n,
                                 static_cast<float>(eps));
      }
    }
  });
  return {dx, partial.sum(0).to(weight.scalar_type())};
}

void silu_mul_backward_(at::Tensor& grad, const at::Tensor& gate_up, at::Tensor& grad_gate_up) {
  GRPO_CHECK(grad.dim() == 2 && gate_up.sizes() == at::IntArrayRef({grad.size(0), 2 * grad.size(1)}) &&
                 grad_gate_up.sizes() == gate_up.sizes(),
             "silu_mul_backward_: ", grad.sizes(), " of ", gate_up.sizes(), " into ", grad_gate_up.sizes());
  GRPO_CHECK(grad.is_contiguous() && gate_up.is_contiguous() && grad_gate_up.is_contiguous() &&
                 gate_up.scalar_type() == grad.scalar_type() && grad_gate_up.scalar_type() == grad.scalar_type(),
             "silu_mul_backward_: dense operands of one dtype");
  if (grad.is_cuda()) return cuda::kernels().silu_mul_backward_(grad, gate_up, grad_gate_up);
  check_cpu(grad, "silu_mul_backward_");
  const int64_t n = grad.size(1);
  const auto& f = cpu::functions();
  for_rows(grad.size(0), n, [&](int64_t r) {
    const int64_t at = r * n;
    if (grad.scalar_type() == at::kFloat) {
      f.silu_mul_backward_f32(mutable_data<float>(grad) + at, const_data<float>(gate_up) + 2 * at,
                              mutable_data<float>(grad_gate_up) + 2 * at, n);
    } else {
      f.silu_mul_backward_bf16(mutable_data<BFloat16>(grad) + at, const_data<BFloat16>(gate_up) + 2 * at,
                               mutable_data<BFloat16>(grad_gate_up) + 2 * at, n);
    }
  });
}

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up) { return silu_mul_into({}, gate, up); }

at::Tensor silu_mul_into(const at::Tensor& place, const at::Tensor& gate, const at::Tensor& up) {
  if (gate.is_cuda()) return cuda::kernels().silu_mul(gate, up);
  check_cpu(gate, "silu_mul");
  GRPO_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(), "silu_mul: unequal operands");
  const auto a = with_dense_rows(gate);
  const auto b = with_dense_rows(up);
  auto out = result_in(place, gate);
  const int64_t rows = gate.size(0);
  const int64_t n = gate.numel() / std::max<int64_t>(rows, 1);
  const auto& f = cpu::functions();
  for_rows(rows, n, [&](int64_t r) {
    const int64_t in_a = r * a.stride(0), in_b = r * b.stride(0);
    if (a.scalar_type() == at::kFloat) {
      f.silu_mul_f32(const_data<float>(a) + in_a, const_data<float>(b) + in_b, mutable_data<float>(out) + r * n, n);
    } else {
      f.silu_mul_bf16(const_data<BFloat16>(a) + in_a, const_data<BFloat16>(b) + in_b,
                      mutable_data<BFloat16>(out) + r * n, n);
    }
  });
  return out;
}

at::Tensor apply_rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin) {
  auto out = at::empty(x.sizes(), x.options());
  rope_into(x, positions, cos, sin, out);
  return out;
}

void rope_into(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin,
               at::Tensor& out) {
  GRPO_CHECK(out.sizes() == x.sizes() && out.scalar_type() == x.scalar_type() && with_dense_rows(out).is_same(out),
             "rope_into: ", x.sizes(), " into ", out.sizes());
  if (x.is_cuda()) return cuda::kernels().rope_into(x, positions, cos, sin, out);
  check_cpu(x, "apply_rope");
  const auto in = with_dense_rows(x);
  const int64_t heads = in.size(1);
  const int64_t d = in.size(2);
  const auto places = positions.contiguous();
  const auto& f = cpu::functions();
  for_rows(in.size(0), heads * d, [&](int64_t t) {
    const int64_t position = const_data<int64_t>(places)[t];
    GRPO_CHECK(position >= 0 && position < cos.size(0), "position ", position, " of ", cos.size(0));
    const float* c = const_data<float>(cos) + position * (d / 2);
    const float* s = const_data<float>(sin) + position * (d / 2);
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t from = t * in.stride(0) + h * d, to = t * out.stride(0) + h * d;
      if (in.scalar_type() == at::kFloat) {
        f.rope_f32(const_data<float>(in) + from, c, s, mutable_data<float>(out) + to, d / 2);
      } else {
        f.rope_bf16(const_data<BFloat16>(in) + from, c, s, mutable_data<BFloat16>(out) + to, d / 2);
      }
    }
  });
}

at::Tensor exact_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (x.is_cuda()) return in_equal_tiles(x, weight, bias);
  GRPO_CHECK(x.is_cpu() && x.scalar_type() == at::kFloat && weight.scalar_type() == at::kFloat,
             "exact_linear is fp32 on the CPU");
  GRPO_CHECK(x.dim() == 2 && weight.dim() == 2 && x.size(1) == weight.size(1), "exact_linear: ", x.sizes(), " by ",
             weight.sizes());
  const auto in = x.contiguous();
  const auto w = weight.contiguous();
  const int64_t rows = in.size(0);
  const int64_t n = w.size(0);
  const int64_t k = w.size(1);
  auto out = at::empty({rows, n}, in.options());
  const float* b = bias ? const_data<float>(*bias) : nullptr;
  // The outputs are divided among the threads, so that each thread reads its part of the weights once.
  constexpr int64_t kOutputs = 32;
  const int64_t grain = std::max<int64_t>(1, kWorthAThread / std::max<int64_t>(1, kOutputs * rows * k));
  for_ranges((n + kOutputs - 1) / kOutputs, grain, [&](int64_t begin, int64_t end) {
    cpu::functions().linear(const_data<float>(in), const_data<float>(w), b, mutable_data<float>(out), rows,
                            kOutputs * begin, std::min(n, kOutputs * end), k, n);
  });
  return out;
}

}  // namespace grpo::kernels
