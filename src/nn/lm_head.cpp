#include "grpo/nn/lm_head.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "grpo/base/error.h"
#include "grpo/kernels/head.h"
#include "grpo/kernels/sample.h"
#include "nn/product.h"

namespace grpo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The logits of a chunk before division by the temperature, [n, V]. The kernels of head.h read and overwrite them.
at::Tensor chunk_logits(const at::Tensor& hidden, const at::Tensor& weight) {
  auto logits = product(hidden, weight.t());
  const bool known = logits.scalar_type() == at::kFloat || logits.scalar_type() == at::kBFloat16;
  return known ? logits : logits.to(at::kFloat);
}

// The softmax rows of a chunk, after removing the tokens that the sampler left out. `kept` receives the log of the
// probability that remains, if tokens are removed.
kernels::HeadRows rows_of(at::Tensor& logits, const at::Tensor& targets, double temperature,
                          const HeadTruncation& truncation, at::Tensor kept = {}) {
  if (truncation.is_on()) {
    const auto left = kernels::keep_sampled_(logits, targets, temperature, truncation.top_k, truncation.top_p);
    if (kept.defined()) kept.copy_(left);
  }
  return kernels::head_rows(logits, targets, temperature);
}

// Calls work(start, size) for each chunk of at most `size` tokens.
template <typename Work>
void for_chunks(int64_t tokens, int64_t size, const Work& work) {
  for (int64_t start = 0; start < tokens; start += size) work(start, std::min(size, tokens - start));
}

// Part of a tensor [n]; undefined for a tensor without elements.
at::Tensor part_of(const at::Tensor& x, int64_t start, int64_t size) {
  return x.numel() > 0 ? x.narrow(0, start, size) : at::Tensor();
}

int64_t chunk_of(const LmHeadOptions& options, const at::Tensor& hidden) {
  return options.chunk_tokens > 0 ? options.chunk_tokens : auto_chunk_tokens(hidden.is_cuda());
}

// Adds up the gradients of hidden and weight, chunk by chunk.
class HeadGradients {
 public:
  HeadGradients(const at::Tensor& hidden, const at::Tensor& weight, bool for_weight)
      : hidden_(hidden),
        weight_(weight),
        grad_hidden_(at::empty_like(hidden)),
        grad_weight_(for_weight ? at::zeros(weight.sizes(), weight.options().dtype(at::kFloat)) : at::Tensor()) {}

  // grad_logits: [n, V], the gradient with respect to hidden W^T for the rows [start, start + n).
  void add(int64_t start, const at::Tensor& grad_logits) {
    const int64_t size = grad_logits.size(0);
    const auto grad = grad_logits.to(hidden_.scalar_type());
    product_into(grad_hidden_.narrow(0, start, size), grad, weight_);
    if (grad_weight_.defined()) add_product(grad_weight_, grad.t(), hidden_.narrow(0, start, size));
  }

  const at::Tensor& hidden() const { return grad_hidden_; }
  at::Tensor weight() const { return grad_weight_.defined() ? grad_weight_.to(weight_.scalar_type()) : at::Tensor(); }

 private:
  const at::Tensor &hidden_, &weight_;
  at::Tensor grad_hidden_, grad_weight_;
};

// Keeps nothing of size [N, V]: the backward computes each chunk's logits again.
class ChunkedHead : public torch::autograd::Function<ChunkedHead> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& targets, const LmHeadOptions& options) {
    context->save_for_backward({hidden, weight, targets});
    context->saved_data["temperature"] = options.temperature;
    context->saved_data["top_k"] = options.truncation.top_k;
    context->saved_data["top_p"] = options.truncation.top_p;
    context->saved_data["chunk"] = chunk_of(options, hidden);
    const int64_t n = hidden.size(0);
    auto log_probs = at::empty({n}, hidden.options().dtype(at::kFloat));
    auto entropy = options.entropy ? at::empty_like(log_probs) : at::zeros({0}, log_probs.options());
    auto kept = at::zeros({options.truncation.is_on() ? n : 0}, log_probs.options());
    for_chunks(n, chunk_of(options, hidden), [&](int64_t start, int64_t size) {
      auto logits = chunk_logits(hidden.narrow(0, start, size), weight);
      const auto rows = rows_of(logits, targets.narrow(0, start, size), options.temperature, options.truncation,
                                part_of(kept, start, size));
      log_probs.narrow(0, start, size).copy_(rows.log_probs);
      if (options.entropy) entropy.narrow(0, start, size).copy_(rows.entropy);
    });
    context->mark_non_differentiable(options.entropy_grad ? variable_list{kept} : variable_list{entropy, kept});
    context->set_materialize_grads(false);
    return {log_probs, entropy, kept};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &hidden = saved[0], &weight = saved[1], &targets = saved[2];
    const double temperature = context->saved_data["temperature"].toDouble();
    const HeadTruncation truncation{.top_k = context->saved_data["top_k"].toInt(),
                                    .top_p = context->saved_data["top_p"].toDouble()};
    const int64_t chunk = context->saved_data["chunk"].toInt();
    HeadGradients gradients(hidden, weight, context->needs_input_grad(1));
    for_chunks(hidden.size(0), chunk, [&](int64_t start, int64_t size) {
      const auto part = [&](const at::Tensor& x) { return x.defined() ? x.narrow(0, start, size) : x; };
      auto logits = chunk_logits(part(hidden), weight);
      const auto rows = rows_of(logits, part(targets), temperature, truncation);
      kernels::head_gradient_(logits, part(targets), rows, temperature, part(grads[0]), part(grads[1]));
      gradients.add(start, logits);
    });
    variable_list result(4);
    result[0] = gradients.hidden();
    result[1] = gradients.weight();
    return result;
  }
};

// A chunk's loss and its derivatives with respect to log-probabilities and entropies, [n] each; undefined if
// the loss does not depend on them.
struct TokenGradients {
  at::Tensor loss, log_probs, entropy;
};

TokenGradients differentiate(const TokenLoss& token_loss, int64_t begin, const at::Tensor& log_probs,
                             const at::Tensor& entropy, bool entropy_grad) {
  const at::AutoGradMode enabled(true);
  const auto leaf = at::Tensor(log_probs.detach()).set_requires_grad(true);
  const auto entropy_leaf = at::Tensor(entropy.detach()).set_requires_grad(entropy_grad);
  const auto loss = token_loss(begin, leaf, entropy_leaf);
  if (loss.requires_grad()) loss.backward();
  return {loss.detach(), leaf.grad(), entropy_leaf.grad()};
}

// Computes the gradients already in the forward and keeps them until the backward asks for them.
class LossHead : public torch::autograd::Function<LossHead> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& hidden, const at::Tensor& weight,
                               const at::Tensor& targets, const LmHeadOptions& options, const TokenLoss& token_loss) {
    const int64_t n = hidden.size(0);
    auto log_probs = at::empty({n}, hidden.options().dtype(at::kFloat)), entropy = at::empty_like(log_probs);
    auto loss = at::zeros({}, log_probs.options());
    auto kept = at::zeros({options.truncation.is_on() ? n : 0}, log_probs.options());
    HeadGradients gradients(hidden, weight, weight.requires_grad());
    for_chunks(n, chunk_of(options, hidden), [&](int64_t start, int64_t size) {
      const auto chunk_targets = targets.narrow(0, start, size);
      auto logits = chunk_logits(hidden.narrow(0, start, size), weight);
      const auto rows =
          rows_of(logits, chunk_targets, options.temperature, options.truncation, part_of(kept, start, size));
      log_probs.narrow(0, start, size).copy_(rows.log_probs);
      entropy.narrow(0, start, size).copy_(rows.entropy);
      const auto found = differentiate(token_loss, start, rows.log_probs, rows.entropy, options.entropy_grad);
      loss.add_(found.loss);
      kernels::head_gradient_(logits, chunk_targets, rows, options.temperature, found.log_probs, found.entropy);
      gradients.add(start, logits);
    });
    context->save_for_backward({gradients.hidden(), gradients.weight()});
    context->mark_non_differentiable({log_probs, entropy, kept});
    return {loss, log_probs, entropy, kept};
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

int64_t auto_chunk_tokens(bool cuda) { return cuda ? 4096 : 512; }

TokenLogProbs token_log_probs(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                              const LmHeadOptions& options) {
  check(hidden, targets, options);
  const auto outputs = ChunkedHead::apply(hidden, weight, targets, options);
  return {outputs[0], options.entropy ? outputs[1] : at::Tensor(),
          options.truncation.is_on() ? outputs[2] : at::Tensor()};
}

HeadLoss head_loss(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                   const LmHeadOptions& options, const TokenLoss& token_loss) {
  check(hidden, targets, options);
  const auto outputs = LossHead::apply(hidden, weight, targets, options, token_loss);
  return {outputs[0], outputs[1], outputs[2], options.truncation.is_on() ? outputs[3] : at::Tensor()};
}

}  // namespace grpo::nn
