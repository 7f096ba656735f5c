#include "grpo/nn/prepacked_linear.h"

#include <ATen/ATen.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <string_view>

namespace grpo::nn {
namespace {

constexpr int64_t kRowsHint = 32;  // the layout is chosen for about this many rows and serves any number

// oneDNN's operators are registered with the dispatcher but have no public C++ function.
using Reorder = at::Tensor(const at::Tensor& weight, std::optional<int64_t> rows);
using Linear = at::Tensor(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                          std::string_view attr, c10::List<std::optional<at::Scalar>> scalars,
                          std::optional<std::string_view> algorithm);

template <typename Signature>
c10::TypedOperatorHandle<Signature> find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace

at::Tensor prepack_linear(const at::Tensor& weight) {
  const auto plain = weight.detach();
  if (!plain.is_cpu() || plain.scalar_type() != at::kFloat || !at::globalContext().hasMKLDNN()) return plain;
  static const auto reorder = find<Reorder>("mkldnn::_reorder_linear_weight");
  return reorder.call(plain, kRowsHint);
}

at::Tensor prepacked_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  if (!weight.is_mkldnn()) return at::linear(x, weight, bias);
  static const auto linear = find<Linear>("mkldnn::_linear_pointwise");
  return linear.call(x, weight, bias, "none", c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

}  // namespace grpo::nn
