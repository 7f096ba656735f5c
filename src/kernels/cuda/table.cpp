#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include "kernels/cuda/attention.h"
#include "kernels/cuda/graph.h"
#include "kernels/cuda/kernel_table.h"
#include "kernels/cuda/operands.h"
#include "kernels/cuda/update_table.h"
#include "kernels/dense_rows.h"

// The functions of rowwise.h, paged_kv.h and sample.h for tensors on the device. They allocate, launch and do not wait.

namespace grpo::kernels::cuda {
namespace {

struct RowShape {
  int64_t rows;
  int64_t width;
};

RowShape rows_and_width(const at::Tensor& x) {
  const int64_t width = x.size(-1);
  return {width == 0 ? 0 : x.numel() / width, width};
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  GRPO_CHECK(weight.scalar_type() == x.scalar_type(), "rms_norm: weight ", c10::toString(weight.scalar_type()));
  const auto in = x.contiguous(), w = weight.contiguous();
  auto out = at::empty_like(in);
  const auto [rows, width] = rows_and_width(in);
  check(cuda::rms_norm(element_of(in, "rms_norm"), in.const_data_ptr(), w.const_data_ptr(), out.mutable_data_ptr(),
                       rows, width, static_cast<float>(eps), stream()),
        "rms_norm");
  return out;
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weight,
                                               double eps) {
  GRPO_CHECK(x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type() && weight.scalar_type() == x.scalar_type(),
             "add_rms_norm: unequal operands");
  const auto a = x.contiguous(), b = y.contiguous(), w = weight.contiguous();
  auto sum = at::empty_like(a), normed = at::empty_like(a);
  const auto [rows, width] = rows_and_width(a);
  check(cuda::add_rms_norm(element_of(a, "add_rms_norm"), a.const_data_ptr(), b.const_data_ptr(), w.const_data_ptr(),
                           sum.mutable_data_ptr(), normed.mutable_data_ptr(), rows, width, static_cast<float>(eps),
                           stream()),
        "add_rms_norm");
  return {sum, normed};
}

at::Tensor silu_mul(const at::Tensor& gate, const at::Tensor& up) {
  GRPO_CHECK(gate.sizes() == up.sizes() && gate.scalar_type() == up.scalar_type(), "silu_mul: unequal operands");
  const auto a = with_dense_rows(gate), b = with_dense_rows(up);
  auto out = at::empty(gate.sizes(), gate.options());
  const int64_t rows = gate.size(0), width = rows == 0 ? 0 : gate.numel() / rows;
  check(
      cuda::silu_mul(element_of(a, "silu_mul"), rows_of(a), rows_of(b), out.mutable_data_ptr(), rows, width, stream()),
      "silu_mul");
  return out;
}

RopeTable table_of(const at::Tensor& cos, const at::Tensor& sin) {
  GRPO_CHECK(cos.is_contiguous() && sin.is_contiguous() && cos.sizes() == sin.sizes(), "tables of rotations");
  return {cos.const_data_ptr<float>(), sin.const_data_ptr<float>(), cos.size(0)};
}

void write_kv(const at::Tensor& keys, const at::Tensor& values, const PagedLayout& layout, PagedKv& cache) {
  GRPO_CHECK(keys.scalar_type() == cache.keys.scalar_type(), "keys are ", c10::toString(keys.scalar_type()),
             ", the cache ", c10::toString(cache.keys.scalar_type()));
  const auto k = with_dense_rows(keys), v = with_dense_rows(values);
  check(cuda::write_kv(element_of(k, "write_kv"), rows_of(k), rows_of(v), layout_of(layout), cache_of(cache), k.size(0),
                       stream()),
        "write_kv");
}

const void* data_or_null(const at::Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }

at::Tensor write_qkv(const Qkv& qkv, const PagedLayout& layout, PagedKv& cache) {
  GRPO_CHECK(qkv.heads.scalar_type() == cache.keys.scalar_type(), "heads are ", c10::toString(qkv.heads.scalar_type()),
             ", the cache ", c10::toString(cache.keys.scalar_type()));
  const auto in = with_dense_rows(qkv.heads);
  const int64_t tokens = in.size(0), heads = in.size(1) - 2 * cache.keys.size(2);
  auto queries = at::empty({tokens, heads, in.size(2)}, in.options());
  const QkvProjection projection{.qkv = rows_of(in),
                                 .q_norm = data_or_null(qkv.q_norm),
                                 .k_norm = data_or_null(qkv.k_norm),
                                 .eps = static_cast<float>(qkv.norm_eps),
                                 .positions = qkv.positions.const_data_ptr<int64_t>(),
                                 .rope = table_of(qkv.cos, qkv.sin),
                                 .tokens = tokens,
                                 .heads = heads};
  check(cuda::write_qkv(element_of(in, "write_qkv"), projection, layout_of(layout), cache_of(cache),
                        queries.mutable_data_ptr(), stream()),
        "write_qkv");
  return queries;
}

at::Tensor paged_attention(const at::Tensor& queries, const PagedKv& cache, const PagedLayout& layout, double scale) {
  const auto q = queries.contiguous();
  auto out = at::empty_like(q);
  if (layout.schedule != nullptr) {
    run_scheduled(*layout.schedule, q, cache, layout, scale, out);
    return out;
  }
  check(cuda::simple_attention(element_of(q, "paged_attention"), q.const_data_ptr(), layout_of(layout), cache_of(cache),
                               out.mutable_data_ptr(), q.size(0), q.size(1), static_cast<float>(scale), stream()),
        "paged_attention");
  return out;
}

// Ids and log-probs lie together, so that one copy brings both to the host.
Sampled empty_sampled(int64_t rows, const at::TensorOptions& options) {
  constexpr int64_t kIdBytes = sizeof(int64_t), kLogProbBytes = sizeof(float);
  const auto memory = at::empty({rows * (kIdBytes + kLogProbBytes)}, options.dtype(at::kByte));
  return {.ids = memory.narrow(0, 0, rows * kIdBytes).view(at::kLong),
          .log_probs = memory.narrow(0, rows * kIdBytes, rows * kLogProbBytes).view(at::kFloat)};
}

Sampled sample_tokens(const at::Tensor& logits, const SampleRows& rows) {
  const auto in = logits.stride(1) == 1 || logits.size(1) == 1 ? logits : logits.contiguous();
  const auto sampled = empty_sampled(in.size(0), in.options());
  check(cuda::sample(element_of(in, "sample_tokens"), rows_of(in), in.size(0), in.size(1),
                     {.temperature = rows.temperature.const_data_ptr<double>(),
                      .top_k = rows.top_k.const_data_ptr<int64_t>(),
                      .top_p = rows.top_p.const_data_ptr<double>(),
                      .uniform = rows.uniform.const_data_ptr<double>(),
                      .ids = sampled.ids.mutable_data_ptr<int64_t>(),
                      .log_probs = sampled.log_probs.mutable_data_ptr<float>()},
                     stream()),
        "sample_tokens");
  return sampled;
}

at::Tensor keep_sampled_(at::Tensor& logits, const at::Tensor& targets, double temperature, int64_t top_k,
                         double top_p) {
  auto kept = at::empty({logits.size(0)}, logits.options().dtype(at::kFloat));
  check(cuda::keep_sampled(element_of(logits, "keep_sampled_"), logits.mutable_data_ptr(), logits.size(0),
                           logits.size(1), targets.const_data_ptr<int64_t>(), {temperature, top_k, top_p},
                           kept.mutable_data_ptr<float>(), stream()),
        "keep_sampled_");
  return kept;
}

constexpr KernelTable kTable = {.rms_norm = rms_norm,
                                .rms_norm_backward = rms_norm_backward,
                                .add_rms_norm = add_rms_norm,
                                .silu_mul = silu_mul,
                                .silu_mul_backward_ = silu_mul_backward_,
                                .rope_into = rope_into,
                                .head_rows = head_rows,
                                .head_gradient_ = head_gradient_,
                                .write_kv = write_kv,
                                .write_qkv = write_qkv,
                                .plan_attention = plan_attention,
                                .paged_attention = paged_attention,
                                .sample_tokens = sample_tokens,
                                .keep_sampled_ = keep_sampled_,
                                .capture_graph = capture_graph,
                                .push_range = push_range,
                                .pop_range = pop_range};

}  // namespace
}  // namespace grpo::kernels::cuda

const grpo::kernels::cuda::KernelTable* grpo_cuda_kernels() { return &grpo::kernels::cuda::kTable; }
