#include "device/operators/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/softmax.h>

#include <cmath>
#include <limits>
#include <tuple>

#include "device/operators/aliases.h"

// All of them in plain words: P = softmax(scale Q K^T + mask), O = P V; and with dO the gradient of O
//   dV = P^T dO, dS = P (dO V^T - rows(sum(dO O))), dQ = scale dS K, dK = scale dS^T Q.
// Heads come before tokens: [..., heads, tokens, head_dim]; sums are fp32. Query head h reads key head h / (heads /
// kv_heads).

namespace grpo::host_device {
namespace {

using at::Tensor;

struct Heads {
  Tensor q, k, v;  // fp32, with as many key heads as query heads
  int64_t group = 1;
};

Heads heads_of(const Tensor& q, const Tensor& k, const Tensor& v) {
  const int64_t group = q.size(-3) / k.size(-3);
  const auto widen = [&](const Tensor& x) { return x.to(at::kFloat).repeat_interleave(group, -3); };
  return {q.to(at::kFloat), widen(k), widen(v), group};
}

// [..., heads, tokens of q, tokens of k]; the last queries meet the last keys.
Tensor scores(const Heads& h, const Tensor& bias, bool causal, double scale) {
  auto s = at::matmul(h.q, h.k.transpose(-1, -2)) * scale;
  if (bias.defined()) s = s + bias.to(at::kFloat);
  if (causal)
    s.masked_fill_(at::ones({h.q.size(-2), h.k.size(-2)}, at::kBool).tril(h.k.size(-2) - h.q.size(-2)).logical_not(),
                   -std::numeric_limits<float>::infinity());
  return s;
}

struct Attended {
  Tensor out, log_sums;  // [..., heads, tokens, head_dim], [..., heads, tokens]
};

Attended attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, bool causal, double scale) {
  const Heads h = heads_of(q, k, v);
  const auto s = scores(h, bias, causal, scale);
  return {at::matmul(at::softmax(s, -1), h.v), at::logsumexp(s, at::IntArrayRef{-1})};
}

// Key heads get the sum over their query heads.
Tensor narrow_heads(const Tensor& x, int64_t group) {
  if (group == 1) return x;
  auto sizes = x.sizes().vec();
  sizes[sizes.size() - 3] /= group;
  sizes.insert(sizes.end() - 2, group);
  return x.reshape(sizes).sum(-3);
}

std::tuple<Tensor, Tensor, Tensor> gradients(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                             const Tensor& bias, bool causal, double scale) {
  const Heads h = heads_of(q, k, v);
  const auto p = at::softmax(scores(h, bias, causal, scale), -1), g = grad.to(at::kFloat);
  const auto dp = at::matmul(g, h.v.transpose(-1, -2));
  const auto ds = p * (dp - (dp * p).sum(-1, /*keepdim=*/true));
  return {at::matmul(ds, h.k) * scale, narrow_heads(at::matmul(ds.transpose(-1, -2), h.q) * scale, h.group),
          narrow_heads(at::matmul(p.transpose(-1, -2), g), h.group)};
}

double scale_of(const Tensor& q, std::optional<double> scale) {
  return scale.value_or(1.0 / std::sqrt(static_cast<double>(q.size(-1))));
}

Tensor state() { return at::empty({}, at::TensorOptions(at::kCUDA).dtype(at::kLong)); }

Tensor or_none(const std::optional<DeviceTensor>& x) { return x ? x->alias() : Tensor(); }
std::optional<DeviceTensor> known(const std::optional<Tensor>& x) {
  return x && x->defined() ? std::optional(DeviceTensor(*x)) : std::nullopt;
}

// ---- sequences of one length: [batch, heads, tokens, head_dim]

struct Padded {
  Tensor out, log_sums;
};

Padded padded(const char* name, const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& bias,
              bool causal, std::optional<double> scale) {
  // As the real ones: tokens before heads in memory.
  Padded result{at::empty({q.size(0), q.size(2), q.size(1), v.size(3)}, q.options()).transpose(1, 2),
                at::empty({q.size(0), q.size(1), q.size(2)}, q.options().dtype(at::kFloat))};
  launch_kernel(
      name, {q, k, v, bias.value_or(Tensor()), result.out, result.log_sums},
      [q_ = DeviceTensor(q), k_ = DeviceTensor(k), v_ = DeviceTensor(v), b = known(bias),
       out = DeviceTensor(result.out), sums = DeviceTensor(result.log_sums), causal, factor = scale_of(q, scale)] {
        const auto found = attend(q_.alias(), k_.alias(), v_.alias(), or_none(b), causal, factor);
        out.alias().copy_(found.out);
        sums.alias().copy_(found.log_sums);
      });
  return result;
}

std::tuple<Tensor, Tensor, Tensor> padded_backward(const char* name, const Tensor& grad, const Tensor& q,
                                                   const Tensor& k, const Tensor& v, const std::optional<Tensor>& bias,
                                                   bool causal, std::optional<double> scale) {
  auto dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
  launch_kernel(
      name, {grad, q, k, v, bias.value_or(Tensor()), dq, dk, dv},
      [g = DeviceTensor(grad), q_ = DeviceTensor(q), k_ = DeviceTensor(k), v_ = DeviceTensor(v), b = known(bias),
       dq_ = DeviceTensor(dq), dk_ = DeviceTensor(dk), dv_ = DeviceTensor(dv), causal, factor = scale_of(q, scale)] {
        const auto [a, c, d] = gradients(g.alias(), q_.alias(), k_.alias(), v_.alias(), or_none(b), causal, factor);
        dq_.alias().copy_(a);
        dk_.alias().copy_(c);
        dv_.alias().copy_(d);
      });
  return {dq, dk, dv};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> efficient(const Tensor& q, const Tensor& k, const Tensor& v,
                                                     const std::optional<Tensor>& bias, bool, double, bool causal,
                                                     std::optional<double> scale) {
  const auto [out, log_sums] = padded("efficient attention", q, k, v, bias, causal, scale);
  return {out, log_sums, state(), state()};
}

std::tuple<Tensor, Tensor, Tensor, Tensor> efficient_backward(const Tensor& grad, const Tensor& q, const Tensor& k,
                                                              const Tensor& v, const Tensor& bias, const Tensor&,
                                                              const Tensor&, const Tensor&, const Tensor&, double,
                                                              std::array<bool, 4>, bool causal,
                                                              std::optional<double> scale) {
  if (!grad.defined()) return {};
  const auto [dq, dk, dv] = padded_backward("efficient attention backward", grad, q, k, v, bias, causal, scale);
  return {dq, dk, dv, Tensor()};
}

using FlashResult = std::tuple<Tensor, Tensor, Tensor, Tensor, c10::SymInt, c10::SymInt, Tensor, Tensor, Tensor>;

FlashResult flash(const Tensor& q, const Tensor& k, const Tensor& v, double, bool causal, bool,
                  std::optional<double> scale) {
  const auto [out, log_sums] = padded("flash attention", q, k, v, std::nullopt, causal, scale);
  return {out, log_sums, Tensor(), Tensor(), q.size(2), k.size(2), state(), state(), Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> flash_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                                  const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                                  c10::SymInt, c10::SymInt, double, bool causal, const Tensor&,
                                                  const Tensor&, std::optional<double> scale) {
  return padded_backward("flash attention backward", grad, q, k, v, std::nullopt, causal, scale);
}

FlashResult cudnn(const Tensor& q, const Tensor& k, const Tensor& v, const std::optional<Tensor>& bias, bool, double,
                  bool causal, bool, std::optional<double> scale) {
  const auto [out, log_sums] = padded("cudnn attention", q, k, v, bias, causal, scale);
  return {out, log_sums.unsqueeze(-1), Tensor(), Tensor(), q.size(2), k.size(2), state(), state(), Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> cudnn_backward(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                                  const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                                  const Tensor& bias, const Tensor&, const Tensor&, c10::SymInt,
                                                  c10::SymInt, double, bool causal, std::optional<double> scale) {
  return padded_backward("cudnn attention backward", grad, q, k, v, bias, causal, scale);
}

// ---- packed sequences: [tokens, heads, head_dim], sequence s in rows [offsets[s], offsets[s + 1])

template <typename Each>
void for_each_sequence(const Tensor& offsets, const Each& each) {
  const auto* at = offsets.const_data_ptr<int32_t>();
  for (int64_t s = 0; s + 1 < offsets.numel(); ++s)
    each([&](const Tensor& rows) { return rows.slice(0, at[s], at[s + 1]).transpose(0, 1); });
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> packed(const Tensor& q, const Tensor& k, const Tensor& v,
                                                          const std::optional<Tensor>& offsets,
                                                          const std::optional<Tensor>&, c10::SymInt, c10::SymInt,
                                                          double, bool causal, bool, std::optional<double> scale,
                                                          std::optional<c10::SymInt>, std::optional<c10::SymInt>,
                                                          const std::optional<Tensor>&, const std::optional<Tensor>&) {
  TORCH_CHECK(offsets && offsets->defined(), "the host device has _flash_attention_forward over packed sequences only");
  auto out = at::empty_like(q), log_sums = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
  launch_kernel("packed flash attention", {q, k, v, *offsets, out, log_sums},
                [q_ = DeviceTensor(q), k_ = DeviceTensor(k), v_ = DeviceTensor(v), cuts = DeviceTensor(*offsets),
                 to = DeviceTensor(out), sums = DeviceTensor(log_sums), causal, factor = scale_of(q, scale)] {
                  for_each_sequence(cuts.alias(), [&](const auto& rows) {
                    const auto found =
                        attend(rows(q_.alias()), rows(k_.alias()), rows(v_.alias()), Tensor(), causal, factor);
                    rows(to.alias()).copy_(found.out);
                    rows(sums.alias().t()).copy_(found.log_sums);
                  });
                });
  return {out, log_sums, state(), state(), Tensor()};
}

std::tuple<Tensor, Tensor, Tensor> packed_backward(const Tensor& grad, const Tensor& q, const Tensor& k,
                                                   const Tensor& v, const Tensor&, const Tensor&, const Tensor& offsets,
                                                   const Tensor&, c10::SymInt, c10::SymInt, double, bool causal,
                                                   const Tensor&, const Tensor&, std::optional<double> scale,
                                                   std::optional<c10::SymInt>, std::optional<c10::SymInt>) {
  auto dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
  launch_kernel("packed flash attention backward", {grad, q, k, v, offsets, dq, dk, dv},
                [g = DeviceTensor(grad), q_ = DeviceTensor(q), k_ = DeviceTensor(k), v_ = DeviceTensor(v),
                 cuts = DeviceTensor(offsets), dq_ = DeviceTensor(dq), dk_ = DeviceTensor(dk), dv_ = DeviceTensor(dv),
                 causal, factor = scale_of(q, scale)] {
                  for_each_sequence(cuts.alias(), [&](const auto& rows) {
                    const auto [a, b, c] = gradients(rows(g.alias()), rows(q_.alias()), rows(k_.alias()),
                                                     rows(v_.alias()), Tensor(), causal, factor);
                    rows(dq_.alias()).copy_(a);
                    rows(dk_.alias()).copy_(b);
                    rows(dv_.alias()).copy_(c);
                  });
                });
  return {dq, dk, dv};
}

}  // namespace

void register_attention(torch::Library& library, std::set<std::string>& names) {
  const auto add = [&](const char* name, auto function) {
    library.impl(name, std::move(function));
    names.insert(name);
  };
  add("_scaled_dot_product_efficient_attention", TORCH_FN(efficient));
  add("_scaled_dot_product_efficient_attention_backward", TORCH_FN(efficient_backward));
  add("_scaled_dot_product_flash_attention", TORCH_FN(flash));
  add("_scaled_dot_product_flash_attention_backward", TORCH_FN(flash_backward));
  add("_scaled_dot_product_cudnn_attention", TORCH_FN(cudnn));
  add("_scaled_dot_product_cudnn_attention_backward", TORCH_FN(cudnn_backward));
  add("_flash_attention_forward", TORCH_FN(packed));
  add("_flash_attention_backward", TORCH_FN(packed_backward));
}

}  // namespace grpo::host_device
