#include "device/operators/shapes.h"

#include <ATen/TensorOperators.h>
#include <ATen/WrapDimUtils.h>
#include <ATen/ops/empty.h>

#include <map>
#include <string>

namespace grpo::host_device {
namespace {

using torch::jit::Stack;

at::Tensor shape(at::IntArrayRef sizes, const at::Tensor& like) {
  return at::empty(sizes, like.options().device(at::kMeta));
}

// (self, dim, index)
std::optional<Stack> index_select(const Stack& arguments) {
  const at::Tensor self = arguments[0].toTensor();
  if (self.dim() == 0) return std::nullopt;
  auto sizes = self.sizes().vec();
  sizes[static_cast<size_t>(at::maybe_wrap_dim(arguments[1].toInt(), self.dim()))] = arguments[2].toTensor().numel();
  return Stack{shape(sizes, self)};
}

// (grad_output, indices, num_weights, ...)
std::optional<Stack> embedding_dense_backward(const Stack& arguments) {
  const at::Tensor grad = arguments[0].toTensor();
  return Stack{shape({arguments[2].toInt(), grad.size(-1)}, grad)};
}

// (self, ord, dtype): a list of numbers
std::optional<Stack> foreach_norm(const Stack& arguments) {
  c10::List<at::Tensor> norms;
  for (const at::Tensor& tensor : arguments[0].toTensorVector()) {
    auto norm = shape({}, tensor);
    norms.push_back(arguments[2].isNone() ? norm : norm.to(arguments[2].toScalarType()));
  }
  return Stack{norms};
}

}  // namespace

std::optional<Stack> known_shapes(const c10::OperatorHandle& op, const Stack& arguments) {
  static const std::map<std::string, std::optional<Stack> (*)(const Stack&)> known = {
      {"aten::index_select.", index_select},
      {"aten::embedding_dense_backward.", embedding_dense_backward},
      {"aten::_foreach_norm.Scalar", foreach_norm}};
  const auto found = known.find(op.schema().name() + "." + op.schema().overload_name());
  return found == known.end() ? std::nullopt : found->second(arguments);
}

}  // namespace grpo::host_device
