#include "kernels/cpu/dot_tile.h"
#include "kernels/cpu/isa_functions.h"

namespace grpo::kernels::cpu::GRPO_ISA {
namespace {

constexpr int64_t kRowBlock = 128;      // rows whose inputs stay in the second-level cache
constexpr int64_t kWeightBlock = 8192;  // weights (32 KiB) that stay in the first

// The number of outputs, in whole tiles, whose weights fit into kWeightBlock.
int64_t outputs_per_block(int64_t k) {
  constexpr int64_t kTile = kLanes > kTileOutputs ? kLanes : kTileOutputs;
  const int64_t fits = kWeightBlock / (k > 0 ? k : 1) / kTile * kTile;
  return fits > kTile ? fits : kTile;
}

// Prefetches the weights of the next block in equal parts, one after each step of the block that is being computed.
struct Prefetch {
  const float* at;
  const float* end;
  int64_t part;  // floats

  GRPO_INLINE void next_part() {
    const float* stop = end - at < part ? end : at + part;
    for (; at < stop; at += 16) __builtin_prefetch(at, 0, 2);
  }
};

void block(const float* x, const float* w, float* y, int64_t rows, int64_t n, int64_t k, int64_t y_stride,
           Prefetch& ahead) {
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) {
    dot_rows<kTileRows, kTileOutputs>(x + r * k, w, y + r * y_stride, n, k, y_stride);
    ahead.next_part();
  }
  for (; r + 2 <= rows; r += 2) {
    dot_rows<2, 2 * kTileOutputs>(x + r * k, w, y + r * y_stride, n, k, y_stride);
    ahead.next_part();
  }
  for (; r < rows; ++r) {
    dot_rows<1, kLanes>(x + r * k, w, y + r * y_stride, n, k, y_stride);
    ahead.next_part();
  }
}

void add_bias(const float* bias, float* y, int64_t rows, int64_t n, int64_t y_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t o = 0; o < n; ++o) y[r * y_stride + o] += bias[o];
  }
}

}  // namespace

void linear(const float* x, const float* w, const float* bias, float* y, int64_t rows, int64_t n_begin, int64_t n_end,
            int64_t k, int64_t n_stride) {
  const int64_t outputs = outputs_per_block(k);
  for (int64_t r = 0; r < rows; r += kRowBlock) {
    const int64_t row_count = rows - r < kRowBlock ? rows - r : kRowBlock;
    for (int64_t n = n_begin; n < n_end; n += outputs) {
      const int64_t count = n_end - n < outputs ? n_end - n : outputs;
      const int64_t following = n_end - n - count < outputs ? n_end - n - count : outputs;
      const float* next = w + (n + count) * k;
      Prefetch ahead{.at = next, .end = next + following * k, .part = outputs * k * kTileRows / row_count + 16};
      block(x + r * k, w + n * k, y + r * n_stride + n, row_count, count, k, n_stride, ahead);
      if (bias != nullptr) add_bias(bias + n, y + r * n_stride + n, row_count, count, n_stride);
    }
  }
}

}  // namespace grpo::kernels::cpu::GRPO_ISA
