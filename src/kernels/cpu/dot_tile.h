#pragma once

#include <cstdint>

#include "kernels/cpu/vec.h"

namespace grpo::kernels::cpu::GRPO_ISA {

// Matrix products whose every element is one dot product over k: lane sums in order of k, then the tree of vec.h. How
// many elements are computed together changes speed only.

constexpr int kTileRows = kLanes == 16 ? 4 : 2;  // rows * outputs accumulators leave registers for the operands
constexpr int kTileOutputs = 4;

// y[r * y_stride + o] = x[r] . w[o] for a tile of rows and outputs; x [kRows, k], w [kOutputs, k].
template <int kRows, int kOutputs>
GRPO_INLINE void dot_tile(const float* x, const float* w, float* y, int64_t k, int64_t y_stride) {
  constexpr int kSlots = (kRows * kOutputs + kLanes - 1) / kLanes * kLanes;
  Vec acc[kSlots] = {};
  int64_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    Vec rows[kRows];
    for (int r = 0; r < kRows; ++r) rows[r] = load(x + r * k + i);
    for (int o = 0; o < kOutputs; ++o) {
      const Vec weight = load(w + o * k + i);
      for (int r = 0; r < kRows; ++r) acc[r * kOutputs + o] = fused(rows[r], weight, acc[r * kOutputs + o]);
    }
  }
  if (i < k) {
    Vec rows[kRows];
    for (int r = 0; r < kRows; ++r) rows[r] = load_part(x + r * k + i, k - i);
    for (int o = 0; o < kOutputs; ++o) {
      const Vec weight = load_part(w + o * k + i, k - i);
      for (int r = 0; r < kRows; ++r) acc[r * kOutputs + o] = fused(rows[r], weight, acc[r * kOutputs + o]);
    }
  }
  float results[kSlots];
  for (int part = 0; part < kSlots; part += kLanes) store(results + part, sums_of(acc + part));
  for (int r = 0; r < kRows; ++r) std::memcpy(y + r * y_stride, results + r * kOutputs, sizeof(float) * kOutputs);
}

// kRows rows by n outputs.
template <int kRows, int kOutputs>
GRPO_INLINE void dot_rows(const float* x, const float* w, float* y, int64_t n, int64_t k, int64_t y_stride) {
  int64_t o = 0;
  for (; o + kOutputs <= n; o += kOutputs) dot_tile<kRows, kOutputs>(x, w + o * k, y + o, k, y_stride);
  for (; o + kTileOutputs <= n; o += kTileOutputs) dot_tile<kRows, kTileOutputs>(x, w + o * k, y + o, k, y_stride);
  for (; o < n; ++o) dot_tile<kRows, 1>(x, w + o * k, y + o, k, y_stride);
}

// y[r * y_stride + o] = x[r] . w[o] for all rows and outputs.
GRPO_INLINE void dot_block(const float* x, const float* w, float* y, int64_t rows, int64_t n, int64_t k,
                           int64_t y_stride) {
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows)
    dot_rows<kTileRows, kTileOutputs>(x + r * k, w, y + r * y_stride, n, k, y_stride);
  for (; r + 2 <= rows; r += 2) dot_rows<2, 2 * kTileOutputs>(x + r * k, w, y + r * y_stride, n, k, y_stride);
  for (; r < rows; ++r) dot_rows<1, kLanes>(x + r * k, w, y + r * y_stride, n, k, y_stride);
}

}  // namespace grpo::kernels::cpu::GRPO_ISA
