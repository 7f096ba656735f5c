#include "grpo/nn/layers.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/promote_types.h>
#include <ATen/ops/rms_norm.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "grpo/kernels/rowwise.h"
#include "nn/join.h"
#include "nn/low_rank.h"
#include "nn/product.h"

namespace grpo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

bool fused(const at::Tensor& x) { return x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16; }

at::Tensor project(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return product(x, weight.t(), bias);
}

bool takes_gradient(const at::Tensor& x) { return x.defined() && x.requires_grad(); }

// The gradient of a weight; undefined if the weight is frozen.
at::Tensor weight_gradient(const at::Tensor& weight, const at::Tensor& grad, const at::Tensor& x) {
  return takes_gradient(weight) ? product(grad.t(), x) : at::Tensor();
}

at::Tensor bias_gradient(const at::Tensor& bias, const at::Tensor& grad) {
  return takes_gradient(bias) ? grad.sum(0) : at::Tensor();
}

// Autograd's Function takes defined tensors or none, so a missing bias is passed as std::nullopt
// and not as an undefined tensor.
using Bias = std::optional<at::Tensor>;

at::Tensor tensor(const Bias& bias) { return bias.value_or(at::Tensor()); }

Bias optional(const at::Tensor& bias) { return bias.defined() ? Bias(bias) : std::nullopt; }

// The adapters of a node's linear layers, in the order of the layers; empty if the model has none. Autograd follows
// only tensors that are a node's own arguments, so a node also gets the factors a and b as a list.
using Adapters = std::vector<Adapter>;

Adapters adapters_of(std::initializer_list<const LinearWeights*> layers) {
  Adapters adapters;
  for (const LinearWeights* layer : layers) adapters.push_back(layer->adapter);
  const bool any = std::any_of(adapters.begin(), adapters.end(), [](const Adapter& a) { return a.is_there(); });
  return any ? adapters : Adapters();
}

std::vector<at::Tensor> factors_of(const Adapters& adapters) {
  std::vector<at::Tensor> factors;
  for (const Adapter& adapter : adapters) {
    if (adapter.is_there()) factors.insert(factors.end(), {adapter.a, adapter.b});
  }
  return factors;
}

// A node's saved data can hold only tensors and custom classes, so the adapters are wrapped in one. This makes no cycle
// in the graph, since the factors are leaves.
struct KeptAdapters : torch::CustomClassHolder {
  explicit KeptAdapters(Adapters a) : adapters(std::move(a)) {}
  Adapters adapters;
};

void keep_adapters(AutogradContext* context, const Adapters& adapters) {
  if (adapters.empty()) return;
  context->saved_data["adapters"] = c10::IValue::make_capsule(c10::make_intrusive<KeptAdapters>(adapters));
}

Adapters kept_adapters(AutogradContext* context) {
  const auto found = context->saved_data.find("adapters");
  if (found == context->saved_data.end()) return {};
  return static_cast<KeptAdapters*>(found->second.toCapsule().get())->adapters;
}

// Adds to results what the adapters [first, first + results.size()) give, all of which read x.
void add_adapters(const Adapters& adapters, size_t first, const at::Tensor& x, const std::vector<at::Tensor>& results) {
  if (adapters.empty()) return;
  for (size_t i = 0; i < results.size(); ++i) add_low_rank(results[i], x, adapters[first + i]);
}

// The backward of add_adapters(): add_to() adds the adapters' part of the gradient to grad_x, if that is wanted.
class AdapterGradients {
 public:
  AdapterGradients(const Adapters& adapters, size_t first, const std::vector<at::Tensor>& grads) {
    for (size_t i = 0; !adapters.empty() && i < grads.size(); ++i) {
      if (adapters[first + i].is_there()) layers_.emplace_back(adapters[first + i], grads[i]);
    }
  }
  void add_to(const at::Tensor& grad_x) const {
    for (const LowRankGradient& layer : layers_) layer.add_to(grad_x);
  }
  // Appends the gradients of the factors, in the order of factors_of().
  void append_factors(const at::Tensor& x, variable_list& results) const {
    for (const LowRankGradient& layer : layers_) {
      const auto factors = layer.of_factors(x);
      results.insert(results.end(), factors.begin(), factors.end());
    }
  }

 private:
  std::vector<LowRankGradient> layers_;
};

class LinearNode : public Function<LinearNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight, const Bias& bias,
                            const Adapters& adapters, at::TensorList) {
    context->save_for_backward({x, weight, tensor(bias)});
    keep_adapters(context, adapters);
    const auto result = project(x, weight, tensor(bias));
    add_adapters(adapters, 0, x, {result});
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const auto adapters = kept_adapters(context);
    const AdapterGradients through(adapters, 0, grads);
    variable_list result(4);
    if (takes_gradient(saved[0])) through.add_to(result[0] = product(grads[0], saved[1]));
    result[1] = weight_gradient(saved[1], grads[0], saved[0]);
    result[2] = bias_gradient(saved[2], grads[0]);
    through.append_factors(saved[0], result);
    return result;
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

// Linear layers that read the same input, joined to one layer. Their weights lie one behind the other.
struct Joined {
  std::vector<at::Tensor> weights, biases;
  at::Tensor weight, bias;  // rows of all layers

  Joined(std::vector<at::Tensor> all, std::vector<at::Tensor> all_biases)
      : weights(std::move(all)), biases(std::move(all_biases)), weight(join_rows(weights)), bias(join_rows(biases)) {}

  // Writes the gradients of each layer's weight and bias into `results`. One product gives them
  // all, if any of them is trained.
  void differentiate(const at::Tensor& grad, const at::Tensor& x, at::Tensor* results) const {
    const auto none = std::vector<at::Tensor>(weights.size());
    const auto any = [](const auto& all) { return std::any_of(all.begin(), all.end(), takes_gradient); };
    const auto of_weights = any(weights) ? split_like(product(grad.t(), x), weights, 0) : none;
    const auto of_biases = any(biases) ? split_like(grad.sum(0), weights, 0) : none;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (takes_gradient(weights[i])) results[2 * i] = of_weights[i];
      if (takes_gradient(biases[i])) results[2 * i + 1] = of_biases[i];
    }
  }
};

// The positions by which heads are rotated; undefined positions mean no rotation.
struct Rotation {
  at::Tensor positions, cos, sin;
  int64_t head_dim = 1;

  void turn(const at::Tensor& x, at::Tensor out) const {
    const auto heads = [&](const at::Tensor& rows) { return rows.unflatten(1, {-1, head_dim}); };
    auto turned = heads(out);
    kernels::rope_into(heads(x), positions, cos, sin, turned);
  }
  Rotation back() const { return {positions, cos, sin.neg(), head_dim}; }
};

class NormedProjectionsNode : public Function<NormedProjectionsNode> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& norm, double eps,
                               const at::Tensor& q, const Bias& q_bias, const at::Tensor& k, const Bias& k_bias,
                               const at::Tensor& v, const Bias& v_bias, const Rotation& rotation,
                               const Adapters& adapters, at::TensorList) {
    context->save_for_backward({x, norm, q, tensor(q_bias), k, tensor(k_bias), v, tensor(v_bias), rotation.positions,
                                rotation.cos, rotation.sin});
    context->saved_data["eps"] = eps;
    context->saved_data["head_dim"] = rotation.head_dim;
    keep_adapters(context, adapters);
    const Joined joined({q, k, v}, {tensor(q_bias), tensor(k_bias), tensor(v_bias)});
    const auto normed = kernels::rms_norm(x, norm, eps);
    auto results = split_like(project(normed, joined.weight, joined.bias), joined.weights, 1);
    add_adapters(adapters, 0, normed, results);
    for (size_t i = 0; rotation.positions.defined() && i < 2; ++i) rotation.turn(results[i], results[i]);
    return results;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm = saved[1];
    const double eps = context->saved_data["eps"].toDouble();
    const Rotation rotation{saved[8], saved[9], saved[10], context->saved_data["head_dim"].toInt()};
    const Joined joined({saved[2], saved[4], saved[6]}, {saved[3], saved[5], saved[7]});
    const auto grad = joined_gradient(grads, joined, rotation);
    const auto grads_of_layers = split_like(grad, joined.weights, 1);
    const auto adapters = kept_adapters(context);
    const AdapterGradients through(adapters, 0, grads_of_layers);
    const auto normed = kernels::rms_norm(x, norm, eps);
    variable_list result(11);
    joined.differentiate(grad, normed, &result[3]);
    through.append_factors(normed, result);
    // The first layer above frozen weights needs no gradient of x.
    if (!takes_gradient(x) && !takes_gradient(norm)) return result;
    const auto grad_normed = product(grad, joined.weight);
    through.add_to(grad_normed);
    std::tie(result[0], result[1]) = kernels::rms_norm_backward(grad_normed, x, norm, eps);
    return result;
  }

 private:
  // The gradients with respect to the projections before rotation, side by side.
  static at::Tensor joined_gradient(const variable_list& grads, const Joined& joined, const Rotation& rotation) {
    if (!rotation.positions.defined()) return at::cat(grads, 1);
    const auto all = at::empty({grads[0].size(0), joined.weight.size(0)}, grads[0].options());
    const auto parts = split_like(all, joined.weights, 1);
    const auto back = rotation.back();
    for (size_t i = 0; i < 2; ++i) back.turn(grads[i], parts[i]);
    parts[2].copy_(grads[2]);
    return all;
  }
};

class GatedMlpNode : public Function<GatedMlpNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& norm, double eps,
                            const at::Tensor& gate, const Bias& gate_bias, const at::Tensor& up, const Bias& up_bias,
                            const at::Tensor& down, const Bias& down_bias, bool keep_wide, const Adapters& adapters,
                            at::TensorList) {
    const Joined joined({gate, up}, {tensor(gate_bias), tensor(up_bias)});
    const auto gate_up = wide(kernels::rms_norm(x, norm, eps), joined, adapters);
    context->save_for_backward({x, norm, gate, tensor(gate_bias), up, tensor(up_bias), down, tensor(down_bias),
                                keep_wide ? gate_up : at::Tensor()});
    context->saved_data["eps"] = eps;
    keep_adapters(context, adapters);
    const auto halves = gate_up.chunk(2, 1);
    const auto activated = kernels::silu_mul(halves[0], halves[1]);
    const auto result = project(activated, down, tensor(down_bias));
    add_adapters(adapters, 2, activated, {result});
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &norm = saved[1], &down = saved[6], &grad = grads[0];
    const double eps = context->saved_data["eps"].toDouble();
    const Joined joined({saved[2], saved[4]}, {saved[3], saved[5]});
    const auto adapters = kept_adapters(context);
    const auto normed = kernels::rms_norm(x, norm, eps);
    const bool kept = saved[8].defined();
    const auto gate_up = kept ? saved[8] : wide(normed, joined, adapters);
    auto through = product(grad, down);
    const AdapterGradients of_down(adapters, 2, {grad});
    of_down.add_to(through);
    auto grad_gate_up = kept ? at::empty_like(gate_up) : gate_up;
    // `through` becomes silu(gate) * up, the input of `down`.
    kernels::silu_mul_backward_(through, gate_up, grad_gate_up);
    variable_list result(11);
    result[7] = weight_gradient(down, grad, through);
    result[8] = bias_gradient(saved[7], grad);
    joined.differentiate(grad_gate_up, normed, &result[3]);
    const auto grads_of_layers = split_like(grad_gate_up, joined.weights, 1);
    const AdapterGradients of_wide(adapters, 0, grads_of_layers);
    const auto grad_normed = product(grad_gate_up, joined.weight);
    of_wide.add_to(grad_normed);
    of_wide.append_factors(normed, result);
    of_down.append_factors(through, result);
    std::tie(result[0], result[1]) = kernels::rms_norm_backward(grad_normed, x, norm, eps);
    return result;
  }

 private:
  // The results of gate and up for the normed input, side by side.
  static at::Tensor wide(const at::Tensor& normed, const Joined& joined, const Adapters& adapters) {
    const auto gate_up = project(normed, joined.weight, joined.bias);
    add_adapters(adapters, 0, normed, split_like(gate_up, joined.weights, 1));
    return gate_up;
  }
};

// Rotates heads. The gradient goes through the inverse rotation.
class RopeNode : public Function<RopeNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& positions,
                            const at::Tensor& cos, const at::Tensor& sin) {
    context->save_for_backward({positions, cos, sin});
    return kernels::apply_rope(x, positions, cos, sin);
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto saved = context->get_saved_variables();
    return {kernels::apply_rope(grads[0], saved[0], saved[1], saved[2].neg()), at::Tensor(), at::Tensor(),
            at::Tensor()};
  }
};

at::Tensor plain_rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin) {
  const auto c = cos.index_select(0, positions).unsqueeze(1), s = sin.index_select(0, positions).unsqueeze(1);
  const auto halves = x.to(at::promote_types(x.scalar_type(), at::kFloat)).chunk(2, -1);
  return at::cat({halves[0] * c - halves[1] * s, halves[1] * c + halves[0] * s}, -1).to(x.scalar_type());
}

}  // namespace

namespace {

at::Tensor plain_linear(const at::Tensor& x, const LinearWeights& weights) {
  const auto result = at::linear(x, weights.weight, optional(weights.bias));
  const Adapter& adapter = weights.adapter;
  if (!adapter.is_there()) return result;
  return result + adapter.scale * at::linear(at::linear(dropped(x, adapter.dropout), adapter.a), adapter.b);
}

}  // namespace

at::Tensor linear(const at::Tensor& x, const LinearWeights& weights) {
  if (!fused(x)) return plain_linear(x, weights);
  const auto adapters = adapters_of({&weights});
  const auto factors = factors_of(adapters);
  return LinearNode::apply(x, weights.weight, optional(weights.bias), adapters, at::TensorList(factors));
}

at::Tensor rms_norm(const at::Tensor& x, const NormWeights& norm) {
  if (!fused(x)) return at::rms_norm(x, norm.weight.sizes(), norm.weight, norm.eps);
  return RmsNormNode::apply(x, norm.weight, norm.eps);
}

namespace {

std::array<at::Tensor, 3> projections(const at::Tensor& x, const NormWeights& norm,
                                      const std::array<LinearWeights, 3>& weights, const Rotation& rotation) {
  const auto adapters = adapters_of({&weights[0], &weights[1], &weights[2]});
  const auto factors = factors_of(adapters);
  const auto outputs =
      NormedProjectionsNode::apply(x, norm.weight, norm.eps, weights[0].weight, optional(weights[0].bias),
                                   weights[1].weight, optional(weights[1].bias), weights[2].weight,
                                   optional(weights[2].bias), rotation, adapters, at::TensorList(factors));
  return {outputs[0], outputs[1], outputs[2]};
}

}  // namespace

std::array<at::Tensor, 3> normed_projections(const at::Tensor& x, const NormWeights& norm,
                                             const std::array<LinearWeights, 3>& weights) {
  if (fused(x)) return projections(x, norm, weights, {});
  const auto normed = rms_norm(x, norm);
  return {linear(normed, weights[0]), linear(normed, weights[1]), linear(normed, weights[2])};
}

std::array<at::Tensor, 3> rotated_projections(const at::Tensor& x, const NormWeights& norm,
                                              const std::array<LinearWeights, 3>& weights, const Rope& rope) {
  const auto heads = [&](const at::Tensor& rows) { return rows.unflatten(1, {-1, rope.head_dim}); };
  if (fused(x)) {
    const auto all = projections(x, norm, weights, {rope.positions, rope.cos, rope.sin, rope.head_dim});
    return {heads(all[0]), heads(all[1]), heads(all[2])};
  }
  const auto all = normed_projections(x, norm, weights);
  const auto rotated = [&](const at::Tensor& rows) {
    return nn::rope(heads(rows), rope.positions, rope.cos, rope.sin);
  };
  return {rotated(all[0]), rotated(all[1]), heads(all[2])};
}

at::Tensor gated_mlp(const at::Tensor& x, const NormWeights& norm, const LinearWeights& gate, const LinearWeights& up,
                     const LinearWeights& down, bool keep) {
  if (!fused(x)) {
    const auto normed = rms_norm(x, norm);
    return linear(at::silu(linear(normed, gate)) * linear(normed, up), down);
  }
  const auto adapters = adapters_of({&gate, &up, &down});
  const auto factors = factors_of(adapters);
  return GatedMlpNode::apply(x, norm.weight, norm.eps, gate.weight, optional(gate.bias), up.weight, optional(up.bias),
                             down.weight, optional(down.bias), keep, adapters, at::TensorList(factors));
}

at::Tensor rope(const at::Tensor& x, const at::Tensor& positions, const at::Tensor& cos, const at::Tensor& sin) {
  return fused(x) ? RopeNode::apply(x, positions, cos, sin) : plain_rope(x, positions, cos, sin);
}

}  // namespace grpo::nn
