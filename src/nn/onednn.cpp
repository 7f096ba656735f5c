#include "nn/onednn.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/List.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <string_view>

namespace grpo::nn::onednn {
namespace {

using Reorder = at::Tensor(const at::Tensor& weight, std::optional<int64_t> rows);
using Linear = at::Tensor(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                          std::string_view attr, c10::List<std::optional<at::Scalar>> scalars,
                          std::optional<std::string_view> algorithm);

template <typename Signature>
c10::TypedOperatorHandle<Signature> find(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace

bool available() { return at::globalContext().hasMKLDNN() && at::globalContext().userEnabledMkldnn(); }

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  static const auto linear = find<Linear>("mkldnn::_linear_pointwise");
  return linear.call(x, weight, bias, "none", c10::List<std::optional<at::Scalar>>(), std::nullopt);
}

at::Tensor reorder_weight(const at::Tensor& weight, int64_t rows) {
  static const auto reorder = find<Reorder>("mkldnn::_reorder_linear_weight");
  return reorder.call(weight, rows);
}

}  // namespace grpo::nn::onednn
