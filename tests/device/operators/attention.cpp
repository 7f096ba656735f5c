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

// whole: the attention that these keys are a part of; null: they are all of it.
std::tuple<Tensor, Tensor, Tensor> gradients(const Tensor& grad, const Tensor& q, const Tensor& k, const Tensor& v,
                                             const Tensor& bias, bool causal, double scale,
                                             const Attended* whole = nullptr) {
  const Heads h = heads_of(q, k, v);
  const auto s = scores(h, bias, causal, scale), g = grad.to(at::kFloat);
  const auto p = whole != nullptr ? (s - whole->log_sums.unsqueeze(-1)).exp() : at::softmax(s, -1);
  const auto dp = at::matmul(g, h.v.transpose(-1, -2));
  const auto rows = whole != nullptr ? g * whole->out : dp * p;
  const auto ds = p * (dp - rows.sum(-1, /*keepdim=*/true));
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

// ---- packed sequences: [tokens, heads, head_dim]. The queries of sequence s are rows [q_cuts[s], q_cuts[s + 1]), its
// keys those of k_cuts.

struct Cuts {
  DeviceTensor q, k;
};

template <typename Each>
void for_each_sequence(const Cuts& cuts, const Each& each) {
  const Tensor q_cuts = cuts.q.alias(), k_cuts = cuts.k.alias();
  const auto rows_of = [](const Tensor& at, int64_t s) {
    const auto* cut = at.const_data_ptr<int32_t>() + s;
    return [first = cut[0], last = cut[1]](const Tensor& x) { return x.slice(0, first, last).transpose(0, 1); };
  };
  for (int64_t s = 0; s + 1 < q_cuts.numel(); ++s) each(rows_of(q_cuts, s), rows_of(k_cuts, s));
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor> packed(const Tensor& q, const Tensor& k, const Tensor& v,
                                                          const std::optional<Tensor>& q_cuts,
                                                          const std::optional<Tensor>& k_cuts, c10::SymInt, c10::SymInt,
                                                          double, bool causal, bool, std::optional<double> scale,
                                                          std::optional<c10::SymInt>, std::optional<c10::SymInt>,
                                                          const std::optional<Tensor>&, const std::optional<Tensor>&) {
  TORCH_CHECK(q_cuts && q_cuts->defined() && k_cuts && k_cuts->defined(),
              "the host device has _flash_attention_forward over packed sequences only");
  auto out = at::empty_like(q), log_sums = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
  launch_kernel("packed flash attention", {q, k, v, *q_cuts, *k_cuts, out, log_sums},
                [q_ = DeviceTensor(q), k_ = DeviceTensor(k), v_ = DeviceTensor(v),
                 cuts = Cuts{DeviceTensor(*q_cuts), DeviceTensor(*k_cuts)}, to = DeviceTensor(out),
                 sums = DeviceTensor(log_sums), causal, factor = scale_of(q, scale)] {
                  for_each_sequence(cuts, [&](const auto& queries, const auto& keys) {
                    const auto found =
                        attend(queries(q_.alias()), keys(k_.alias()), keys(v_.alias()), Tensor(), causal, factor);
                    queries(to.alias()).copy_(found.out);
                    queries(sums.alias().t()).copy_(found.log_sums);
                  });
                });
  return {out, log_sums, state(), state(), Tensor()};
}

// Out and log_sums are those it is given, as in the real kernel: they may be of an attention to more keys than these.
std::tuple<Tensor, Tensor, Tensor> packed_backward(const Tensor& grad, const Tensor& q, const Tensor& k,
                                                   const Tensor& v, const Tensor& out, const Tensor& log_sums,
                                                   const Tensor& q_cuts, const Tensor& k_cuts, c10::SymInt, c10::SymInt,
                                                   double, bool causal, const Tensor&, const Tensor&,
                                                   std::optional<double> scale, std::optional<c10::SymInt>,
                                                   std::optional<c10::SymInt>) {
  auto dq = at::empty_like(q), dk = at::empty_like(k), dv = at::empty_like(v);
  launch_kernel(
      "packed flash attention backward", {grad, q, k, v, out, log_sums, q_cuts, k_cuts, dq, dk, dv},
      [g = DeviceTensor(grad), q_ = DeviceTensor(q), k_ = DeviceTensor(k), v_ = DeviceTensor(v), o = DeviceTensor(out),
       sums = DeviceTensor(log_sums), cuts = Cuts{DeviceTensor(q_cuts), DeviceTensor(k_cuts)}, dq_ = DeviceTensor(dq),
       dk_ = DeviceTensor(dk), dv_ = DeviceTensor(dv), causal, factor = scale_of(q, scale)] {
        for_each_sequence(cuts, [&](const auto& queries, const auto& keys) {
          const Attended whole{queries(o.alias()).to(at::kFloat), queries(sums.alias().t())};
          const auto [a, b, c] = gradients(queries(g.alias()), queries(q_.alias()), keys(k_.alias()), keys(v_.alias()),
                                           Tensor(), causal, factor, &whole);
          queries(dq_.alias()).copy_(a);
          keys(dk_.alias()).copy_(b);
          keys(dv_.alias()).copy_(c);
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
