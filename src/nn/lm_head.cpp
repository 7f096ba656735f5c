#include "grpo/nn/lm_head.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "grpo/base/error.h"
#include "nn/product.h"

namespace grpo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// fp32 log-probabilities of one chunk: log_softmax(hidden W^T / temperature), [n, V].
at::Tensor chunk_log_probs(const at::Tensor& hidden, const at::Tensor& weight, double temperature) {
  auto logits = product(hidden, weight.t()).to(at::kFloat);  // the product itself for fp32: ours to change
  if (temperature != 1.0) logits.div_(temperature);
  return at::log_softmax(logits, -1);
}

at::Tensor entropy_of(const at::Tensor& log_probs) { return log_probs.exp().mul_(log_probs).sum(-1).neg_(); }

// With respect to the scaled logits: g (onehot - p) for the log-probability, -h p (log p + H) for the entropy H.
// log_probs: [n, V]; targets, g, h: [n, 1]; g or h may be undefined (no gradient).
at::Tensor logit_gradient(const at::Tensor& log_probs, const at::Tensor& targets, const at::Tensor& g,
                          const at::Tensor& h) {
  auto p = log_probs.exp();
  if (!h.defined()) return g.defined() ? p.mul_(-g).scatter_add_(1, targets, g.contiguous()) : p.zero_();
  auto grad = p.mul(log_probs + entropy_of(log_probs).unsqueeze(1)).mul_(-h);
  return g.defined() ? grad.sub_(p * g).scatter_add_(1, targets, g.contiguous()) : grad;
}

// Nothing of size [N, V] is kept: the backward computes each chunk's logits again.
class ChunkedHead : public torch::autograd::Function<ChunkedHead> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& targets, double temperature, int64_t chunk, bool entropy_grad) {
    context->save_for_backward({hidden, weight, targets});
    context->saved_data["temperature"] = temperature;
    context->saved_data["chunk"] = chunk;
    const int64_t n = hidden.size(0);
    auto log_probs = at::empty({n}, hidden.options().dtype(at::kFloat));
    auto entropy = at::empty({n}, hidden.options().dtype(at::kFloat));
    for (int64_t start = 0; start < n; start += chunk) {
      const int64_t size = std::min(chunk, n - start);
      const auto all = chunk_log_probs(hidden.narrow(0, start, size), weight, temperature);
      log_probs.narrow(0, start, size).copy_(all.gather(1, targets.narrow(0, start, size).unsqueeze(1)).squeeze(1));
      entropy.narrow(0, start, size).copy_(entropy_of(all));
    }
    if (!entropy_grad) context->mark_non_differentiable({entropy});
    context->set_materialize_grads(false);
    return {log_probs, entropy};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &hidden = saved[0], &weight = saved[1], &targets = saved[2];
    const double temperature = context->saved_data["temperature"].toDouble();
    const int64_t chunk = context->saved_data["chunk"].toInt();
    const int64_t n = hidden.size(0);
    const bool for_weight = context->needs_input_grad(1);
    auto grad_hidden = at::empty_like(hidden);
    auto grad_weight = for_weight ? at::zeros(weight.sizes(), weight.options().dtype(at::kFloat)) : at::Tensor();
    for (int64_t start = 0; start < n; start += chunk) {
      const int64_t size = std::min(chunk, n - start);
      const auto part = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, start, size).unsqueeze(1) : x; };
      const auto rows = hidden.narrow(0, start, size);
      const auto log_probs = chunk_log_probs(rows, weight, temperature);
      const auto grad_logits = logit_gradient(log_probs, part(targets), part(grads[0]), part(grads[1]))
                                   .div_(temperature)
                                   .to(hidden.scalar_type());
      grad_hidden.narrow(0, start, size).copy_(product(grad_logits, weight));
      if (for_weight) grad_weight.add_(product(grad_logits.t(), rows));
    }
    if (for_weight) grad_weight = grad_weight.to(weight.scalar_type());
    return {grad_hidden, grad_weight, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

TokenLogProbs token_log_probs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                              const LmHeadOptions& options) {
  GRPO_CHECK(options.temperature > 0.0, "temperature ", options.temperature);
  GRPO_CHECK(hidden.size(0) == targets.size(0), hidden.size(0), " rows, ", targets.size(0), " targets");
  const auto outputs =
      ChunkedHead::apply(hidden, weight, targets, options.temperature, options.chunk_tokens, options.entropy_grad);
  return {outputs[0], outputs[1]};
}

}  // namespace grpo::nn
