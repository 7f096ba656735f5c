#include "kernels/cpu/isa_functions.h"
#include "kernels/cpu/vec.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();

float highest_of(const float* logits, int64_t n) {
  Vec highest = splat(-kInfinity);
  for_each_part(n, [&](int64_t i, int64_t count) {
    highest = max(keep_below(load_some(logits + i, count), count, -kInfinity), highest);
  });
  return max(highest);
}

int64_t first_equal(const float* logits, int64_t n, float value) {
  for (int64_t i = 0; i < n; ++i) {
    if (logits[i] == value) return i;
  }
  return -1;
}

}  // namespace

SoftmaxRow softmax(const float* logits, float inverse_temperature, int64_t n, float* exps, double* block_sums) {
  const float top = highest_of(logits, n);
  SoftmaxRow row{.argmax = first_equal(logits, n, top), .max = top, .sum = 0.0};
  for (int64_t block = 0; block * kSoftmaxBlock < n; ++block) {
    const int64_t start = block * kSoftmaxBlock;
    const int64_t size = n - start < kSoftmaxBlock ? n - start : kSoftmaxBlock;
    Vec sums = {};
    for_each_part(size, [&](int64_t i, int64_t count) {
      // The difference first: it is small where the exponential is not, so its rounding does not show.
      const Vec below = (load_some(logits + start + i, count) - top) * inverse_temperature;
      // exp() is limited at -87, so lower logits are given probability 0. NaN stays NaN, since it is not below -87.
      const Vec e = keep_below(below < splat(-87.0f) ? Vec{} : exp(below), count, 0.0f);
      sums += e;
      store_some(exps + start + i, e, count);
    });
    block_sums[block] = static_cast<double>(sum(sums));
    row.sum += block_sums[block];
  }
  return row;
}

void block_max(const float* x, int64_t n, float* maxima) {
  for (int64_t start = 0; start < n; start += kMaxBlock) {
    maxima[start / kMaxBlock] = highest_of(x + start, n - start < kMaxBlock ? n - start : kMaxBlock);
  }
}

}  // namespace grpo::kernels::cpu::GRPO_ISA
