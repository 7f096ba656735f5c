#include "grpo/nn/lm_head.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
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

at::Tensor of_targets(const at::Tensor& log_probs, const at::Tensor& targets) {
  return log_probs.gather(1, targets.unsqueeze(1)).squeeze(1);
}

// The gradients of hidden and weight, chunk by chunk.
class HeadGradients {
 public:
  HeadGradients(const at::Tensor& hidden, const at::Tensor& weight, bool for_weight)
      : hidden_(hidden),
        weight_(weight),
        grad_hidden_(at::empty_like(hidden)),
        grad_weight_(for_weight ? at::zeros(weight.sizes(), weight.options().dtype(at::kFloat)) : at::Tensor()) {}

  // grad_logits: [n, V], of hidden W^T of rows [start, start + n).
  void add(int64_t start, const at::Tensor& grad_logits) {
    const int64_t size = grad_logits.size(0);
    const auto grad = grad_logits.to(hidden_.scalar_type());
    grad_hidden_.narrow(0, start, size).copy_(product(grad, weight_));
    if (grad_weight_.defined()) grad_weight_.add_(product(grad.t(), hidden_.narrow(0, start, size)));
  }

  const at::Tensor& hidden() const { return grad_hidden_; }
  at::Tensor weight() const { return grad_weight_.defined() ? grad_weight_.to(weight_.scalar_type()) : at::Tensor(); }

 private:
  const at::Tensor &hidden_, &weight_;
  at::Tensor grad_hidden_, grad_weight_;
};

// Nothing of size [N, V] is kept: the backward computes each chunk's logits again.
class ChunkedHead : public torch::autograd::Function<ChunkedHead> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& targets, double temperature, int64_t chunk, bool entropy_grad, bool with_entropy) {
    context->save_for_backward({hidden, weight, targets});
    context->saved_data["temperature"] = temperature;
    context->saved_data["chunk"] = chunk;
    const int64_t n = hidden.size(0);
    auto log_probs = at::empty({n}, hidden.options().dtype(at::kFloat));
    auto entropy = with_entropy ? at::empty_like(log_probs) : at::zeros({0}, log_probs.options());
    for (int64_t start = 0; start < n; start += chunk) {
      const int64_t size = std::min(chunk, n - start);
      const auto all = chunk_log_probs(hidden.narrow(0, start, size), weight, temperature);
      log_probs.narrow(0, start, size).copy_(of_targets(all, targets.narrow(0, start, size)));
      if (with_entropy) entropy.narrow(0, start, size).copy_(entropy_of(all));
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
    HeadGradients gradients(hidden, weight, context->needs_input_grad(1));
    for (int64_t start = 0; start < n; start += chunk) {
      const int64_t size = std::min(chunk, n - start);
      const auto part = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, start, size).unsqueeze(1) : x; };
      const auto log_probs = chunk_log_probs(hidden.narrow(0, start, size), weight, temperature);
      gradients.add(start, logit_gradient(log_probs, part(targets), part(grads[0]), part(grads[1])).div_(temperature));
    }
    variable_list result(7);
    result[0] = gradients.hidden();
    result[1] = gradients.weight();
    return result;
  }
};

// The gradients of a chunk's loss by its log-probabilities and entropies, [n, 1]; undefined where there is none.
struct TokenGradients {
  at::Tensor loss, log_probs, entropy;
};

TokenGradients differentiate(const TokenLoss& token_loss, int64_t begin, const at::Tensor& log_probs, const at::Tensor& entropy,
                             bool entropy_grad) {
  const at::AutoGradMode enabled(true);
  const auto leaf = at::Tensor(log_probs.detach()).set_requires_grad(true);
  const auto entropy_leaf = at::Tensor(entropy.detach()).set_requires_grad(entropy_grad);
  const auto loss = token_loss(begin, leaf, entropy_leaf);
  if (loss.requires_grad()) loss.backward();
  const auto column = [](const at::Tensor& grad) { return grad.defined() ? grad.unsqueeze(1) : grad; };
  return {loss.detach(), column(leaf.grad()), column(entropy_leaf.grad())};
}

// The gradients wait from the forward to the backward.
class LossHead : public torch::autograd::Function<LossHead> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                               const LmHeadOptions& options, const TokenLoss& token_loss) {
    const int64_t n = hidden.size(0);
    auto log_probs = at::empty({n}, hidden.options().dtype(at::kFloat)), entropy = at::empty_like(log_probs);
    auto loss = at::zeros({}, log_probs.options());
    HeadGradients gradients(hidden, weight, weight.requires_grad());
    for (int64_t start = 0; start < n; start += options.chunk_tokens) {
      const int64_t size = std::min(options.chunk_tokens, n - start);
      const auto chunk_targets = targets.narrow(0, start, size);
      const auto all = chunk_log_probs(hidden.narrow(0, start, size), weight, options.temperature);
      auto chunk_log = log_probs.narrow(0, start, size), chunk_entropy = entropy.narrow(0, start, size);
      chunk_log.copy_(of_targets(all, chunk_targets));
      chunk_entropy.copy_(entropy_of(all));
      const auto found = differentiate(token_loss, start, chunk_log, chunk_entropy, options.entropy_grad);
      loss.add_(found.loss);
      gradients.add(start, logit_gradient(all, chunk_targets.unsqueeze(1), found.log_probs, found.entropy).div_(options.temperature));
    }
    context->save_for_backward({gradients.hidden(), gradients.weight()});
    context->mark_non_differentiable({log_probs, entropy});
    return {loss, log_probs, entropy};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto scaled = [&](const at::Tensor& x) { return x.defined() ? x * grads[0].to(x.scalar_type()) : x; };
    return {scaled(saved[0]), scaled(saved[1]), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

void check(const at::Tensor& hidden, const at::Tensor& targets, const LmHeadOptions& options) {
  GRPO_CHECK(options.temperature > 0.0, "temperature ", options.temperature);
  GRPO_CHECK(hidden.size(0) == targets.size(0), hidden.size(0), " rows, ", targets.size(0), " targets");
}

}  // namespace

TokenLogProbs token_log_probs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                              const LmHeadOptions& options) {
  check(hidden, targets, options);
  const auto outputs = ChunkedHead::apply(hidden, weight, targets, options.temperature, options.chunk_tokens, options.entropy_grad,
                                          options.entropy);
  return {outputs[0], options.entropy ? outputs[1] : at::Tensor()};
}

HeadLoss head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets, const LmHeadOptions& options,
                   const TokenLoss& token_loss) {
  check(hidden, targets, options);
  const auto outputs = LossHead::apply(hidden, weight, targets, options, token_loss);
  return {outputs[0], outputs[1], outputs[2]};
}

}  // namespace grpo::nn
