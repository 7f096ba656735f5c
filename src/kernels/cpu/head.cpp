#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/vec.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr float kLowest = -87.0f;  // exp() is limited there, so lower logits are given probability 0

template <typename T>
float highest_of(const T* x, int64_t n) {
  Vec highest = splat(-kInfinity);
  for_each_part(n, [&](int64_t i, int64_t count) {
    highest = max(keep_below(load_some(x + i, count), count, -kInfinity), highest);
  });
  return max(highest);
}

// NaN stays NaN, since it is not below kLowest.
GRPO_INLINE Vec exp_or_zero(Vec x) { return x < splat(kLowest) ? Vec{} : exp(x); }

}  // namespace

template <typename T>
HeadRow head_row(const T* logits, float inverse_temperature, int64_t n) {
  const float top = highest_of(logits, n);
  HeadRow row{.max = top, .sum = 0.0, .weighted = 0.0};
  for (int64_t start = 0; start < n; start += kSoftmaxBlock) {
    const int64_t size = n - start < kSoftmaxBlock ? n - start : kSoftmaxBlock;
    Vec sums = {}, weighted = {};
    for_each_part(size, [&](int64_t i, int64_t count) {
      const Vec below = (load_some(logits + start + i, count) - top) * inverse_temperature;
      const Vec e = keep_below(exp_or_zero(below), count, 0.0f);
      sums += e;
      weighted += below < splat(kLowest) ? Vec{} : e * below;  // 0 times minus infinity is no number
    });
    row.sum += static_cast<double>(sum(sums));
    row.weighted += static_cast<double>(sum(weighted));
  }
  return row;
}

template <typename T>
void head_gradient(T* logits, const HeadGradient& row, int64_t n) {
  const Vec scale = splat(-row.inverse_temperature);
  for_each_part(n, [&](int64_t i, int64_t count) {
    // Differences first: they are small where the probability is not, so their rounding does not show.
    const Vec log_p = (load_some(logits + i, count) - row.max) * row.inverse_temperature - row.log_sum;
    const Vec p = exp_or_zero(log_p);
    Vec factor = splat(row.g);
    if (row.h != 0.0f) factor += row.h * ((log_p < splat(kLowest) ? Vec{} : log_p) + row.entropy);
    store_some(logits + i, p * factor * scale, count);
  });
}

template HeadRow head_row(const float*, float, int64_t);
template HeadRow head_row(const BFloat16*, float, int64_t);
template void head_gradient(float*, const HeadGradient&, int64_t);
template void head_gradient(BFloat16*, const HeadGradient&, int64_t);

}  // namespace grpo::kernels::cpu::GRPO_ISA
