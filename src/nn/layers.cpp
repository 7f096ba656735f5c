#include "grpo/nn/layers.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <optional>

#include "grpo/kernels/rowwise.h"
#include "nn/product.h"

namespace grpo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

bool fused(const at::Tensor& x) { return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16; }

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  auto y = product(x, weight.t());
  return bias.defined() ? y.add_(bias) : y;
}

at::Tensor bias_gradient(const at::Tensor& bias, const at::Tensor& grad) {
  return bias.defined() ? grad.sum(0) : at::Tensor();
}

// Inputs of a node must be defined or absent.
using Bias = std::optional<at::Tensor>;

at::Tensor tensor(const Bias& bias) { return bias.value_or(at::Tensor()); }

Bias optional(const at::Tensor& bias) {
  return bias.defined() ? Bias(bias) : std::nullopt;
}

class LinearNode : public Function<LinearNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const Bias& bias) {
    context->save_for_backward({x, weight, tensor(bias)});
    return project(x, weight, tensor(bias));
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    return {product(grads[0], saved[1]), product(grads[0].t(), saved[0]), bias_gradient(saved[2], grads[0])};
  }
};

class RmsNormNode : public Function<RmsNormNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, double eps) {
    context->save_for_backward({x, weight});
    context->saved_data["eps"] = eps;
    return kernels::rms_norm(x, weight, eps);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    auto [dx, dweight] =
        kernels::rms_norm_backward(grads[0], saved[0], saved[1], context->saved_data["eps"].toDouble());
    return {dx, dweight, at::Tensor()};
  }
};

class NormedProjectionsNode : public Function<NormedProjectionsNode> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& norm, double eps,
                               const at::Tensor& q, const Bias& q_bias, const at::Tensor& k,
                               const Bias& k_bias, const at::Tensor& v, const Bias& v_bias) {
    context->save_for_backward({x, norm, q, tensor(q_bias), k, tensor(k_bias), v, tensor(v_bias)});
    context->saved_data["eps"] = eps;
    const auto normed = kernels::rms_norm(x, norm, eps);
    return {project(normed, q, tensor(q_bias)), project(normed, k, tensor(k_bias)), project(normed, v, tensor(v_bias))};
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm = saved[1];
    const double eps = context->saved_data["eps"].toDouble();
    const auto normed = kernels::rms_norm(x, norm, eps);
    at::Tensor grad_normed;
    variable_list result(9);
    for (size_t i = 0; i < 3; ++i) {
      const at::Tensor &weight = saved[2 + 2 * i], &bias = saved[3 + 2 * i], &grad = grads[i];
      const auto through = product(grad, weight);
      grad_normed = i == 0 ? through : grad_normed.add_(through);
      result[3 + 2 * i] = product(grad.t(), normed);
      result[4 + 2 * i] = bias_gradient(bias, grad);
    }
    std::tie(result[0], result[1]) = kernels::rms_norm_backward(grad_normed, x, norm, eps);
    return result;
  }
};

class GatedMlpNode : public Function<GatedMlpNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& norm, double eps,
                            const at::Tensor& gate, const Bias& gate_bias, const at::Tensor& up,
                            const Bias& up_bias, const at::Tensor& down, const Bias& down_bias, bool keep) {
    const auto normed = kernels::rms_norm(x, norm, eps);
    const auto gated = project(normed, gate, tensor(gate_bias));
    const auto upper = project(normed, up, tensor(up_bias));
    context->save_for_backward({x, norm, gate, tensor(gate_bias), up, tensor(up_bias), down, tensor(down_bias),
                                keep ? gated : at::Tensor(), keep ? upper : at::Tensor()});
    context->saved_data["eps"] = eps;
    return project(kernels::silu_mul(gated, upper), down, tensor(down_bias));
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm = saved[1], &gate = saved[2], &up = saved[4], &down = saved[6];
    const at::Tensor& grad = grads[0];
    const double eps = context->saved_data["eps"].toDouble();
    const auto normed = kernels::rms_norm(x, norm, eps);
    const auto gated = saved[8].defined() ? saved[8] : project(normed, gate, saved[3]);
    const auto upper = saved[9].defined() ? saved[9] : project(normed, up, saved[5]);
    variable_list result(10);
    result[7] = product(grad.t(), kernels::silu_mul(gated, upper));
    result[8] = bias_gradient(saved[7], grad);
    const auto [grad_gated, grad_upper] = kernels::silu_mul_backward(product(grad, down), gated, upper);
    result[3] = product(grad_gated.t(), normed);
    result[4] = bias_gradient(saved[3], grad_gated);
    result[5] = product(grad_upper.t(), normed);
    result[6] = bias_gradient(saved[5], grad_upper);
    const auto grad_normed = product(grad_gated, gate).add_(product(grad_upper, up));
    std::tie(result[0], result[1]) = kernels::rms_norm_backward(grad_normed, x, norm, eps);
    return result;
  }
};

// A rotation: its gradient is the rotation back.
class RopeNode : public Function<RopeNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& positions,
                            const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({positions, cos, sin});
    return kernels::apply_rope(x, positions, cos, sin);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    return {kernels::apply_rope(grads[0], saved[0], saved[1], saved[2].neg()), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor plain_rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin) {
  const auto c = cos.index_select(0, positions).unsqueeze(1), s = sin.index_select(0, positions).unsqueeze(1);
  const auto halves = x.to(at::promote_types(x.scalar_type(), at::kFloat)).chunk(2, -1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1).to(x.scalar_type());
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const LinearWeights& weights) {
  if (!fused(x)) return at::linear(x, weights.weight, optional(weights.bias));
  return LinearNode::apply(x, weights.weight, optional(weights.bias));
}

at::Tensor rms_norm(const at::Tensor& x, const NormWeights& norm) {
  if (!fused(x)) return at::rms_norm(x, norm.weight.sizes(), norm.weight, norm.eps);
  return RmsNormNode::apply(x, norm.weight, norm.eps);
}

std::array<at::Tensor, 3> normed_projections(const at::Tensor& x, const NormWeights& norm,
                                             const std::array<LinearWeights, 3>& weights) {
  if (!fused(x)) {
    const auto normed = rms_norm(x, norm);
    return {linear(normed, weights[0]), linear(normed, weights[1]), linear(normed, weights[2])};
  }
  const auto outputs =
      NormedProjectionsNode::apply(x, norm.weight, norm.eps, weights[0].weight, optional(weights[0].bias),
                                   weights[1].weight, optional(weights[1].bias), weights[2].weight,
                                   optional(weights[2].bias));
  return {outputs[0], outputs[1], outputs[2]};
}

at::Tensor gated_mlp(const at::Tensor& x, const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up,
                     const LinearWeights& down, bool keep) {
  if (!fused(x)) {
    const auto normed = rms_norm(x, norm);
    return linear(at::silu(linear(normed, gate)) * linear(normed, up), down);
  }
  return GatedMlpNode::apply(x, norm.weight, norm.eps, gate.weight, optional(gate.bias), up.weight,
                             optional(up.bias), down.weight, optional(down.bias), keep);
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin) {
  return fused(x) ? RopeNode::apply(x, positions, cos, sin) : plain_rope(x, positions, cos, sin);
}

}  // namespace grpo::nn
