#include "grpo/nn/prepacked_linear.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>

#include "grpo/nn/product_path.h"
#include "nn/onednn.h"

namespace grpo::nn {
namespace {

constexpr int64_t kRowsHint = 32;  // oneDNN's layout is chosen for about so many rows and works with any number

ProductPath path_of(const at::Tensor& weight) {
  return weight.is_cpu() ? packed_path(weight.scalar_type()) : ProductPath::kLibTorch;
}

}  // namespace

bool can_prepack(const at::Tensor& weight) { return path_of(weight) != ProductPath::kLibTorch; }

PrepackedWeight prepack_linear(const at::Tensor& weight) {
  const auto plain = weight.detach();
  switch (path_of(plain)) {
    case ProductPath::kOneDnn:
      return {onednn::reorder_weight(plain, kRowsHint), {}};
    case ProductPath::kOwn:
      return {{}, kernels::pack_matrix(plain.t())};
    case ProductPath::kLibTorch:
      break;
  }
  return {plain, {}};
}

at::Tensor prepacked_linear(const at::Tensor& x, const PrepackedWeight& weight, const std::optional<at::Tensor>& bias,
                            const at::Tensor& place) {
  if (!weight.weight.defined()) {
    if (!place.defined()) return kernels::product(x, weight.panels, bias.value_or(at::Tensor()));
    kernels::product_into(place, x, weight.panels, bias.value_or(at::Tensor()));
    return place;
  }
  if (!weight.weight.is_mkldnn()) return at::linear(x, weight.weight, bias);
  return onednn::linear(x, weight.weight, bias);
}

}  // namespace grpo::nn
