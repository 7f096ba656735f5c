#pragma once
// The widest vectors of the instruction set this file is compiled for. Everything here lives in the namespace GRPO_ISA
// and nothing with inline code of its own is included, so that no function compiled for a newer machine is shared with
// the rest of the program.
#if defined(__FMA__)
#include <immintrin.h>  // intrinsics only, which are not functions of their own
#endif

#include <cstdint>
#include <cstring>

#include "kernels/cpu/dispatch.h"

namespace grpo::kernels::cpu::GRPO_ISA {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Vec __attribute__((vector_size(4 * kLanes)));
typedef int32_t VecInt __attribute__((vector_size(4 * kLanes)));
typedef uint32_t VecUint __attribute__((vector_size(4 * kLanes)));
typedef uint16_t VecHalf __attribute__((vector_size(2 * kLanes)));

#define GRPO_INLINE inline __attribute__((always_inline))

GRPO_INLINE Vec splat(float value) { return value - Vec{}; }  // 0 + value would be an addition, for -0's sake

GRPO_INLINE Vec load(const float* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

GRPO_INLINE Vec load(const BFloat16* p) {
  VecHalf h;
  std::memcpy(&h, p, sizeof h);
  return (Vec)(__builtin_convertvector(h, VecUint) << 16);
}

GRPO_INLINE void store(float* p, Vec v) { std::memcpy(p, &v, sizeof v); }

// The nearest bf16 numbers, of two equally near ones the even one, as fp32; NaN stays NaN.
GRPO_INLINE Vec rounded_to_bf16(Vec v) {
  const VecUint bits = (VecUint)v;
  const VecUint rounded = bits + 0x7FFFu + ((bits >> 16) & 1u);
  const VecUint quiet = bits | 0x400000u;
  const VecUint is_nan = (VecUint)((bits & 0x7FFFFFFFu) > 0x7F800000u);
  return (Vec)(((rounded & ~is_nan) | (quiet & is_nan)) & 0xFFFF0000u);
}

GRPO_INLINE void store(BFloat16* p, Vec v) {
  const VecHalf h = __builtin_convertvector((VecUint)rounded_to_bf16(v) >> 16, VecHalf);
  std::memcpy(p, &h, sizeof h);
}

// Loads the first `count` lanes; the others are 0.
template <typename T>
GRPO_INLINE Vec load_part(const T* p, int64_t count) {
  T padded[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) padded[i] = p[i];
  return load(padded);
}

template <typename T>
GRPO_INLINE void store_part(T* p, Vec v, int64_t count) {
  T padded[kLanes];
  store(padded, v);
  for (int64_t i = 0; i < count; ++i) p[i] = padded[i];
}

template <typename T>
GRPO_INLINE Vec load_some(const T* p, int64_t count) {
  return count == kLanes ? load(p) : load_part(p, count);
}

template <typename T>
GRPO_INLINE void store_some(T* p, Vec v, int64_t count) {
  count == kLanes ? store(p, v) : store_part(p, v, count);
}

// Calls f(first element, number of elements) for each whole vector of n elements, then for the rest.
template <typename F>
GRPO_INLINE void for_each_part(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, int64_t{kLanes});
  if (i < n) f(i, n - i);
}

GRPO_INLINE VecInt lane_numbers() {
  VecInt numbers;
  for (int32_t i = 0; i < kLanes; ++i) numbers[i] = i;
  return numbers;
}

// v where the lane's number is below count, `other` elsewhere.
GRPO_INLINE Vec keep_below(Vec v, int64_t count, float other) {
  return lane_numbers() < static_cast<int32_t>(count) ? v : splat(other);
}

// a * b + c, rounded once where the machine can: written out where the same sum is compiled in several shapes that have
// to give the same bits, since a compiler fuses in one and not in another as it sees fit.
GRPO_INLINE Vec fused(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

GRPO_INLINE Vec max(Vec a, Vec b) { return a > b ? a : b; }

GRPO_INLINE float max(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  float highest = lanes[0];
  for (int i = 1; i < kLanes; ++i) highest = lanes[i] > highest ? lanes[i] : highest;
  return highest;
}

template <int... kIndex>
struct Indices {};
template <int kCount, int... kIndex>
struct MakeIndices : MakeIndices<kCount - 1, kCount - 1, kIndex...> {};
template <int... kIndex>
struct MakeIndices<0, kIndex...> {
  using Type = Indices<kIndex...>;
};

// Lane i of the result is lane kIndex of a followed by b.
template <int... kIndex>
GRPO_INLINE Vec permute(Vec a, Vec b) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, kIndex...);
#else
  return __builtin_shuffle(a, b, VecInt{kIndex...});
#endif
}

// Adds the lanes of a that are kStep apart, and those of b. The sums of a go to the lanes whose number has no bit
// kStep, the sums of b to the others.
template <int kStep, int... kIndex>
GRPO_INLINE Vec add_apart(Vec a, Vec b, Indices<kIndex...>) {
  return permute<((kIndex & kStep) ? kLanes + kIndex - kStep : kIndex)...>(a, b) +
         permute<((kIndex & kStep) ? kLanes + kIndex : kIndex + kStep)...>(a, b);
}

// Lane i of the result is the sum of the lanes of rows[i]: lanes kLanes / 2 apart are added, then kLanes / 4, ... The
// same tree as sum().
template <int kStep = kLanes / 2>
GRPO_INLINE Vec sums_of(Vec* rows) {
  if constexpr (kStep == 0) {
    return rows[0];
  } else {
    for (int i = 0; i < kStep; ++i)
      rows[i] = add_apart<kStep>(rows[i], rows[i + kStep], typename MakeIndices<kLanes>::Type{});
    return sums_of<kStep / 2>(rows);
  }
}

GRPO_INLINE float sum(Vec v) {
  float lanes[kLanes];
  store(lanes, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// exp by 2^n * exp(r), |r| <= ln 2 / 2; the polynomial is the Taylor series to r^7 (relative error below 2^-23).
// Arguments are limited to [-87, 88].
GRPO_INLINE Vec exp(Vec x) {
  x = x < splat(-87.0f) ? splat(-87.0f) : x;
  x = x > splat(88.0f) ? splat(88.0f) : x;
  const Vec magic = splat(12582912.0f);  // adding 1.5 * 2^23 rounds to a whole number
  const Vec n = (x * 1.44269504088896341f + magic) - magic;
  const Vec r = (x - n * 0.693145751953125f) - n * 1.428606765330187e-06f;
  Vec p = splat(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * (Vec)((__builtin_convertvector(n, VecInt) + 127) << 23);
}

}  // namespace grpo::kernels::cpu::GRPO_ISA
