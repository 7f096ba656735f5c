#pragma once
// The panels of a packed matrix (ProductTask), and what one step of k takes of a panel's column and of a row.
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <type_traits>

#include "kernels/cpu/vec.h"

#if defined(__clang__)
#define GRPO_UNROLL _Pragma("unroll")
#else
#define GRPO_UNROLL _Pragma("GCC unroll 16")
#endif

namespace grpo::kernels::cpu::GRPO_ISA {

constexpr int kPanel = 2 * kLanes;
static_assert(kPanel <= kWidestPanel);

/// Two numbers of k that one instruction multiplies by two others and adds.
struct Pair {
  BFloat16 first, second;
};

#if defined(__AVX512BF16__)
template <typename T>
using Step = std::conditional_t<std::is_same_v<T, BFloat16>, Pair, T>;
#else
template <typename T>
using Step = T;
#endif

/// Numbers of k in a step.
template <typename T>
inline constexpr int64_t kStepNumbers = sizeof(Step<T>) / sizeof(T);

template <typename T>
constexpr int64_t steps_of(int64_t k) {
  return (k + kStepNumbers<T> - 1) / kStepNumbers<T>;
}

// The two vectors of a panel's step. Those of single bf16 numbers alternate, number i of the first with number i of the
// second, so that a shift and a mask widen them.
GRPO_INLINE void load_pair(const float* p, Vec& first, Vec& second) {
  first = load(p);
  second = load(p + kLanes);
}

GRPO_INLINE void load_pair(const BFloat16* p, Vec& first, Vec& second) {
  VecUint bits;
  std::memcpy(&bits, p, sizeof bits);
  first = (Vec)(bits << 16);
  second = (Vec)(bits & 0xFFFF0000u);
}

GRPO_INLINE void store_pair(float* p, Vec first, Vec second) {
  store(p, first);
  store(p + kLanes, second);
}

GRPO_INLINE void store_pair(BFloat16* p, Vec first, Vec second) {
  const VecUint bits = ((VecUint)first >> 16) | ((VecUint)second & 0xFFFF0000u);
  std::memcpy(p, &bits, sizeof bits);
}

// Pairs travel in the lanes of a Vec as they are.
GRPO_INLINE Vec load(const Pair* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

GRPO_INLINE void load_pair(const Pair* p, Vec& first, Vec& second) {
  first = load(p);
  second = load(p + kLanes);
}

GRPO_INLINE void store_pair(Pair* p, Vec first, Vec second) {
  std::memcpy(p, &first, sizeof first);
  std::memcpy(p + kLanes, &second, sizeof second);
}

// sum + column * row's number, in each lane.
template <typename S>
GRPO_INLINE Vec multiply_add(Vec sum, Vec columns, Vec row) {
#if defined(__AVX512BF16__)
  if constexpr (std::is_same_v<S, Pair>) return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)columns, (__m512bh)row);
#endif
  return fused(columns, row, sum);
}

// A row's step in every lane.
template <typename S>
GRPO_INLINE Vec spread(const float* step) {
  if constexpr (std::is_same_v<S, Pair>) {
    uint32_t bits;  // a pair is no number: arithmetic would change it
    std::memcpy(&bits, step, sizeof bits);
    return (Vec)(VecUint{} + bits);
  }
  return splat(*step);
}

}  // namespace grpo::kernels::cpu::GRPO_ISA
