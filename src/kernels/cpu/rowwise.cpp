#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/vec.h"

namespace grpo::kernels::cpu::GRPO_ISA {

template <typename T>
void add(T* x, const T* y, int64_t n) {
  for_each_part(n, [&](int64_t i, int64_t count) {
    store_some(x + i, load_some(x + i, count) + load_some(y + i, count), count);
  });
}

template <typename T>
void rms_norm(const T* x, const T* weight, T* y, int64_t n, float eps) {
  Vec squares = {};
  for_each_part(n, [&](int64_t i, int64_t count) {
    const Vec v = load_some(x + i, count);
    squares += v * v;
  });
  const float factor = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + eps);
  for_each_part(n, [&](int64_t i, int64_t count) {
    store_some(y + i, load_some(x + i, count) * factor * load_some(weight + i, count), count);
  });
}

// y = f x w with f = 1 / sqrt(mean(x^2) + eps): dx = f (dy w - x f^2 mean(dy w x)), dweight += dy f x.
template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, T* dx, float* dweight, int64_t n, float eps) {
  Vec squares = {}, products = {};
  for_each_part(n, [&](int64_t i, int64_t count) {
    const Vec v = load_some(x + i, count);
    squares += v * v;
    products += load_some(dy + i, count) * load_some(weight + i, count) * v;
  });
  const float factor = 1.0f / __builtin_sqrtf(sum(squares) / static_cast<float>(n) + eps);
  const float shared = factor * factor * sum(products) / static_cast<float>(n);
  for_each_part(n, [&](int64_t i, int64_t count) {
    const Vec v = load_some(x + i, count), g = load_some(dy + i, count);
    store_some(dx + i, (g * load_some(weight + i, count) - v * shared) * factor, count);
    store_some(dweight + i, load_some(dweight + i, count) + g * v * factor, count);
  });
}

// With s = sigmoid(gate), silu(gate) = gate s and its derivative is s (1 + gate (1 - s)).
template <typename T>
void silu_mul_backward(T* dy, const T* gate_up, T* dgate_up, int64_t n) {
  for_each_part(n, [&](int64_t i, int64_t count) {
    const Vec g = load_some(gate_up + i, count), u = load_some(gate_up + n + i, count), d = load_some(dy + i, count);
    const Vec below = exp(-g) + 1.0f, s = 1.0f / below;
    store_some(dy + i, g / below * u, count);  // the formula of silu_mul, so that both round alike
    store_some(dgate_up + i, d * u * s * (g * (1.0f - s) + 1.0f), count);
    store_some(dgate_up + n + i, d * g * s, count);
  });
}

template <typename T>
void silu_mul(const T* gate, const T* up, T* y, int64_t n) {
  for_each_part(n, [&](int64_t i, int64_t count) {
    const Vec g = load_some(gate + i, count);
    store_some(y + i, g / (exp(-g) + 1.0f) * load_some(up + i, count), count);
  });
}

template <typename T>
void rope(const T* x, const float* cos, const float* sin, T* y, int64_t half) {
  for_each_part(half, [&](int64_t i, int64_t count) {
    const Vec first = load_some(x + i, count), second = load_some(x + half + i, count);
    const Vec c = load_some(cos + i, count), s = load_some(sin + i, count);
    store_some(y + i, first * c - second * s, count);
    store_some(y + half + i, second * c + first * s, count);
  });
}

template void add(float*, const float*, int64_t);
template void add(BFloat16*, const BFloat16*, int64_t);
template void rms_norm(const float*, const float*, float*, int64_t, float);
template void rms_norm(const BFloat16*, const BFloat16*, BFloat16*, int64_t, float);
template void rms_norm_backward(const float*, const float*, const float*, float*, float*, int64_t, float);
template void rms_norm_backward(const BFloat16*, const BFloat16*, const BFloat16*, BFloat16*, float*, int64_t, float);
template void silu_mul_backward(float*, const float*, float*, int64_t);
template void silu_mul_backward(BFloat16*, const BFloat16*, BFloat16*, int64_t);
template void silu_mul(const float*, const float*, float*, int64_t);
template void silu_mul(const BFloat16*, const BFloat16*, BFloat16*, int64_t);
template void rope(const float*, const float*, const float*, float*, int64_t);
template void rope(const BFloat16*, const float*, const float*, BFloat16*, int64_t);

}  // namespace grpo::kernels::cpu::GRPO_ISA
