#include "grpo/kernels/head.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "grpo/base/error.h"
#include "kernels/cpu/dispatch.h"
#include "kernels/cuda/kernel_table.h"
#include "kernels/parallel.h"

namespace grpo::kernels {
namespace {

using cpu::BFloat16;

void check(const at::Tensor& logits, const at::Tensor& targets) {
  GRPO_CHECK(logits.dim() == 2 && logits.is_contiguous() && targets.is_contiguous() &&
                 targets.sizes() == logits.sizes().slice(0, 1),
             "head: ", logits.sizes(), " logits, ", targets.sizes(), " targets");
  GRPO_CHECK(logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kBFloat16, "head of ",
             c10::toString(logits.scalar_type()));
}

void check_targets(const at::Tensor& targets, int64_t vocabulary) {
  const int64_t* ids = targets.const_data_ptr<int64_t>();
  for (int64_t row = 0; row < targets.numel(); ++row)
    GRPO_CHECK(ids[row] >= 0 && ids[row] < vocabulary, "target ", ids[row], " of ", vocabulary);
}

// Calls f(a row's number, its logits) for every row, on all threads. T: float or BFloat16.
template <typename T, typename F>
void for_rows(const at::Tensor& logits, F&& f) {
  T* all = static_cast<T*>(logits.mutable_data_ptr());
  const int64_t width = logits.size(1);
  for_ranges(logits.size(0), 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) f(row, all + row * width);
  });
}

float to_float(float x) { return x; }
float to_float(BFloat16 x) { return static_cast<float>(c10::BFloat16(x.bits, c10::BFloat16::from_bits())); }
void store(float& at, float x) { at = x; }
void store(BFloat16& at, float x) { at.bits = c10::BFloat16(x).x; }

float* data(const at::Tensor& x) { return x.mutable_data_ptr<float>(); }
float at_row(const at::Tensor& x, int64_t row) { return x.defined() ? x.const_data_ptr<float>()[row] : 0.0f; }

cpu::HeadRow row_of(const float* logits, float inverse, int64_t n) {
  return cpu::functions().head_row_f32(logits, inverse, n);
}
cpu::HeadRow row_of(const BFloat16* logits, float inverse, int64_t n) {
  return cpu::functions().head_row_bf16(logits, inverse, n);
}
void gradient_of(float* logits, const cpu::HeadGradient& row, int64_t n) {
  cpu::functions().head_gradient_f32(logits, row, n);
}
void gradient_of(BFloat16* logits, const cpu::HeadGradient& row, int64_t n) {
  cpu::functions().head_gradient_bf16(logits, row, n);
}

template <typename T>
void rows_on_cpu(const at::Tensor& logits, const int64_t* targets, float inverse, const HeadRows& rows) {
  for_rows<T>(logits, [&](int64_t i, const T* row) {
    const auto found = row_of(row, inverse, logits.size(1));
    const double log_sum = std::log(found.sum);
    data(rows.max)[i] = found.max;
    data(rows.log_sum)[i] = static_cast<float>(log_sum);
    data(rows.entropy)[i] = static_cast<float>(log_sum - found.weighted / found.sum);
    data(rows.log_probs)[i] =
        static_cast<float>(static_cast<double>((to_float(row[targets[i]]) - found.max) * inverse) - log_sum);
  });
}

template <typename T>
void gradient_on_cpu(const at::Tensor& logits, const int64_t* targets, float inverse, const HeadRows& rows,
                     const at::Tensor& g, const at::Tensor& h) {
  for_rows<T>(logits, [&](int64_t i, T* row) {
    const cpu::HeadGradient all{.inverse_temperature = inverse,
                                .max = at_row(rows.max, i),
                                .log_sum = at_row(rows.log_sum, i),
                                .entropy = at_row(rows.entropy, i),
                                .g = at_row(g, i),
                                .h = at_row(h, i)};
    gradient_of(row, all, logits.size(1));
    // The target's gradient is computed here, so that it is rounded only once.
    const float log_p = at_row(rows.log_probs, i), p = std::exp(log_p);
    store(row[targets[i]], (all.g * (1.0f - p) - (p > 0.0f ? all.h * p * (log_p + all.entropy) : 0.0f)) * inverse);
  });
}

}  // namespace

HeadRows head_rows(const at::Tensor& logits, const at::Tensor& targets, double temperature) {
  check(logits, targets);
  if (logits.is_cuda()) return cuda::kernels().head_rows(logits, targets, temperature);
  check_targets(targets, logits.size(1));
  const auto empty = [&] { return at::empty({logits.size(0)}, logits.options().dtype(at::kFloat)); };
  const HeadRows rows{.log_probs = empty(), .entropy = empty(), .max = empty(), .log_sum = empty()};
  const auto compute = logits.scalar_type() == at::kFloat ? rows_on_cpu<float> : rows_on_cpu<BFloat16>;
  compute(logits, targets.const_data_ptr<int64_t>(), static_cast<float>(1.0 / temperature), rows);
  return rows;
}

void head_gradient_(at::Tensor& logits, const at::Tensor& targets, const HeadRows& rows, double temperature,
                    const at::Tensor& g, const at::Tensor& h) {
  check(logits, targets);
  const auto dense = [](const at::Tensor& x) { return x.defined() ? x.contiguous() : x; };
  if (logits.is_cuda()) return cuda::kernels().head_gradient_(logits, targets, rows, temperature, dense(g), dense(h));
  const auto compute = logits.scalar_type() == at::kFloat ? gradient_on_cpu<float> : gradient_on_cpu<BFloat16>;
  compute(logits, targets.const_data_ptr<int64_t>(), static_cast<float>(1.0 / temperature), rows, dense(g), dense(h));
}

}  // namespace grpo::kernels
