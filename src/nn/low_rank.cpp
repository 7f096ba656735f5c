#include "nn/low_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>

#include <cmath>
#include <limits>

#include "nn/product.h"

namespace grpo::nn {
namespace {

// Odd constants whose products spread the bits of a number over all higher bits (one of the golden ratio,
// one of MurmurHash3's last steps).
constexpr int64_t kGolden = -0x61c8864680b583ebLL;
constexpr int64_t kSpread = -0x00ae502812aa7333LL;

// [T, D]: 1 / (1 - p) if an element stays, else 0. It is computed from integers, which wrap around
// in the same way on every device.
at::Tensor mask_of(const at::Tensor& x, const Dropout& dropout) {
  const auto columns = (at::arange(x.size(1), dropout.token_keys.options()) * kGolden + dropout.key).bitwise_or(1);
  auto bits = dropout.token_keys.unsqueeze(1) * columns;
  bits = bits.bitwise_xor(bits.bitwise_right_shift(32)).mul_(kSpread);
  bits = bits.bitwise_xor(bits.bitwise_right_shift(29)).mul_(kGolden);
  const auto bound = static_cast<int64_t>(std::ldexp(dropout.p, 63) - std::ldexp(1.0 - dropout.p, 63));
  return bits.ge(bound).to(x.scalar_type()).mul_(1.0 / (1.0 - dropout.p));
}

}  // namespace

at::Tensor dropped(const at::Tensor& x, const Dropout& dropout) {
  return dropout.is_on() ? x * mask_of(x, dropout) : x;
}

void add_low_rank(at::Tensor out, const at::Tensor& x, const Adapter& adapter) {
  if (!adapter.is_there()) return;
  const auto inner = product(dropped(x, adapter.dropout), adapter.a.t());
  if (out.is_cuda()) {
    out.addmm_(inner, adapter.b.t(), 1, adapter.scale);
  } else {
    out.add_(product(inner, adapter.b.t()), adapter.scale);
  }
}

LowRankGradient::LowRankGradient(const Adapter& adapter, const at::Tensor& grad)
    : adapter_(adapter), grad_(grad), inner_(product(grad, adapter.b).mul_(adapter.scale)) {}

void LowRankGradient::add_to(at::Tensor grad_x) const {
  if (adapter_.dropout.is_on()) {
    grad_x.add_(dropped(product(inner_, adapter_.a), adapter_.dropout));
  } else if (grad_x.is_cuda()) {
    grad_x.addmm_(inner_, adapter_.a);
  } else {
    grad_x.add_(product(inner_, adapter_.a));
  }
}

std::array<at::Tensor, 2> LowRankGradient::of_factors(const at::Tensor& x) const {
  const auto read = dropped(x, adapter_.dropout);
  const auto inner = product(read, adapter_.a.t());
  return {product(inner_.t(), read), product(grad_.t(), inner).mul_(adapter_.scale)};
}

}  // namespace grpo::nn
