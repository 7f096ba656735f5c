#pragma once

#include <cstdint>

namespace grpo::kernels::cpu {

/// A bf16 number as it is stored: the upper half of a float.
struct BFloat16 {
  uint16_t bits;
};

/// One new token's attention over its own sequence for the query heads of one kv head.
template <typename T>
struct AttentionTask {
  const T* queries;             // [group, head_dim]
  T* out;                       // [group, head_dim]
  const T* keys;                // first element of page 0 for this kv head
  const T* values;
  const int32_t* pages;         // page ids of the sequence
  int64_t page_stride;          // elements from one page to the next
  int64_t row_stride;           // elements from one token to the next
  int64_t page_size;            // tokens
  int64_t length;               // tokens attended: positions 0 .. length - 1
  int64_t group;                // query heads
  int64_t head_dim;
  float scale;
  float* scratch;               // [group * head_dim + group * 2 + group * 32] floats
};

inline constexpr int64_t kAttentionBlock = 32;  // positions per softmax block, at absolute multiples of it

/// What a row's softmax needs to be sampled from.
struct SoftmaxRow {
  int64_t argmax;  // lowest id among equals
  float max;       // of logits * inverse_temperature
  double sum;      // of exp(logit * inverse_temperature - max)
};
inline constexpr int64_t kSoftmaxBlock = 512;  // ids per partial sum

/// The inner loops, built once per instruction set from cpu_kernels.cpp. Every function is a fixed sequence of operations
/// for each row: the result does not depend on which rows are computed together.
struct Functions {
  const char* name;
  /// y[r][n] for rows [0, rows) and outputs [n_begin, n_end): x [rows, k], w [n, k], y [rows, n_stride].
  void (*linear)(const float* x, const float* w, const float* bias, float* y, int64_t rows, int64_t n_begin, int64_t n_end, int64_t k,
                 int64_t n_stride);
  void (*rms_norm_f32)(const float* x, const float* weight, float* y, int64_t n, float eps);
  void (*rms_norm_bf16)(const BFloat16* x, const BFloat16* weight, BFloat16* y, int64_t n, float eps);
  void (*silu_mul_f32)(const float* gate, const float* up, float* y, int64_t n);
  void (*silu_mul_bf16)(const BFloat16* gate, const BFloat16* up, BFloat16* y, int64_t n);
  /// One head: x, y [2 * half]; cos, sin [half].
  void (*rope_f32)(const float* x, const float* cos, const float* sin, float* y, int64_t half);
  void (*rope_bf16)(const BFloat16* x, const float* cos, const float* sin, BFloat16* y, int64_t half);
  void (*attention_f32)(const AttentionTask<float>& task);
  void (*attention_bf16)(const AttentionTask<BFloat16>& task);
  /// exps: [n] receives exp(logit * inverse_temperature - max); block_sums: [ceil(n / kSoftmaxBlock)] their sums.
  SoftmaxRow (*softmax)(const float* logits, float inverse_temperature, int64_t n, float* exps, double* block_sums);
};

/// The best set this machine can run; chosen once. GRPO_CPU_ISA=v2|v3|v4 asks for a lower one.
const Functions& functions();

}  // namespace grpo::kernels::cpu
