#include "device/operators/softmax.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/_log_softmax.h>
#include <ATen/ops/_log_softmax_backward_data.h>
#include <ATen/ops/_softmax.h>
#include <ATen/ops/_softmax_backward_data.h>
#include <ATen/ops/empty.h>

#include "device/operators/aliases.h"

namespace grpo::host_device {
namespace {

using Forward = at::Tensor (*)(const at::Tensor&, int64_t, bool);
using Backward = at::Tensor (*)(const at::Tensor&, const at::Tensor&, int64_t, at::ScalarType);

template <Forward kForward>
at::Tensor forward(const at::Tensor& self, int64_t dim, bool half_to_float) {
  const auto x = self.contiguous();
  auto out = at::empty(x.sizes(), x.options().dtype(half_to_float ? at::kFloat : x.scalar_type()));
  launch_kernel("softmax", {x, out}, [in = DeviceTensor(x), to = DeviceTensor(out), dim, half_to_float] {
    const auto alias = in.alias();
    to.alias().copy_(kForward(half_to_float ? alias.to(at::kFloat) : alias, dim, false));
  });
  return out;
}

template <Backward kBackward>
at::Tensor backward(const at::Tensor& grad, const at::Tensor& output, int64_t dim, at::ScalarType input_dtype) {
  const auto g = grad.contiguous(), y = output.contiguous();
  auto out = at::empty(g.sizes(), g.options().dtype(input_dtype));
  launch_kernel("softmax backward", {g, y, out},
                [in = DeviceTensor(g), of = DeviceTensor(y), to = DeviceTensor(out), dim] {
                  const auto alias = in.alias();
                  to.alias().copy_(kBackward(alias, of.alias(), dim, alias.scalar_type()));
                });
  return out;
}

}  // namespace

void register_softmax(torch::Library& library, std::set<std::string>& names) {
  library.impl("_softmax", TORCH_FN(forward<&at::_softmax>));
  library.impl("_log_softmax", TORCH_FN(forward<&at::_log_softmax>));
  library.impl("_softmax_backward_data", TORCH_FN(backward<&at::_softmax_backward_data>));
  library.impl("_log_softmax_backward_data", TORCH_FN(backward<&at::_log_softmax_backward_data>));
  names.insert({"_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data"});
}

}  // namespace grpo::host_device
