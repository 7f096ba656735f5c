#include "grpo/nn/recompute.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <memory>

namespace grpo::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Work = std::function<at::Tensor(const at::Tensor&)>;

// A node's saved data can hold only tensors and custom classes, so the function is wrapped in one.
struct KeptWork : torch::CustomClassHolder {
  explicit KeptWork(Work w) : work(std::move(w)) {}
  Work work;
};

class RecomputedNode : public torch::autograd::Function<RecomputedNode> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Work& work) {
    context->save_for_backward({x});
    context->saved_data["work"] = c10::IValue::make_capsule(c10::make_intrusive<KeptWork>(work));
    return work(x);  // autograd is off here, so nothing inside is kept
  }

  static variable_list backward(AutogradContext* context, const variable_list& grads) {
    const auto capsule = context->saved_data["work"].toCapsule();
    const auto leaf = context->get_saved_variables()[0].detach().set_requires_grad(true);
    {
      const at::AutoGradMode enabled(true);
      static_cast<KeptWork*>(capsule.get())->work(leaf).backward(grads[0]);  // parameters get their gradients here
    }
    return {leaf.grad(), at::Tensor()};
  }
};

}  // namespace

at::Tensor recomputed(const Work& function, const at::Tensor& x) { return RecomputedNode::apply(x, function); }

}  // namespace grpo::nn
