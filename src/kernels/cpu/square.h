#pragma once
// Squares of kLanes by kLanes numbers, with which matrices are transposed.
#include <cstdint>

#include "kernels/cpu/panel.h"
#include "kernels/cpu/vec.h"

namespace grpo::kernels::cpu::GRPO_ISA {

template <int kStep, int... kIndex>
GRPO_INLINE void exchange(Vec& a, Vec& b, Indices<kIndex...>) {
  const Vec low = permute<((kIndex & kStep) ? kLanes + kIndex - kStep : kIndex)...>(a, b);
  b = permute<((kIndex & kStep) ? kLanes + kIndex : kIndex + kStep)...>(a, b);
  a = low;
}

// Lane j of rows[i] becomes lane i of rows[j].
template <int kStep = kLanes / 2>
GRPO_INLINE void transpose(Vec* rows) {
  if constexpr (kStep > 0) {
    GRPO_UNROLL for (int i = 0; i < kLanes; ++i) {
      if ((i & kStep) == 0) exchange<kStep>(rows[i], rows[i + kStep], typename MakeIndices<kLanes>::Type{});
    }
    transpose<kStep / 2>(rows);
  }
}

// lines[i] receives `length` numbers that lie side by side, `stride` after those of lines[i - 1]; the rest is 0.
template <typename T>
GRPO_INLINE void load_square(const T* from, int64_t stride, int64_t count, int64_t length, Vec* lines) {
  if (count >= kLanes && length >= kLanes) {
    GRPO_UNROLL for (int i = 0; i < kLanes; ++i) lines[i] = load(from + i * stride);
    return;
  }
  for (int i = 0; i < kLanes; ++i)
    lines[i] = i < count ? load_some(from + i * stride, length < kLanes ? length : kLanes) : Vec{};
}

}  // namespace grpo::kernels::cpu::GRPO_ISA
