#pragma once

#include <cstdint>

namespace grpo::kernels::cpu {

/// A bf16 number as it is stored: the upper half of a float.
struct BFloat16 {
  uint16_t bits;
};

inline constexpr int64_t kWidestPanel = 32;     // numbers of two of the widest vectors
inline constexpr int64_t kAttentionBlock = 32;  // positions per softmax block, at absolute multiples of it

/// Attention of consecutive new tokens of one sequence for the query heads of consecutive kv heads: token i attends
/// positions 0 .. first_length - 1 + i.
template <typename T>
struct AttentionTask {
  const T* queries;      // [tokens, kv_heads, group, head_dim], tokens token_stride apart
  T* out;                // likewise
  int64_t token_stride;  // elements from one token's queries to the next
  int64_t tokens;
  int64_t kv_heads;
  int64_t group;  // query heads of a kv head
  int64_t head_dim;
  int64_t first_length;
  const T* keys;  // first element of page 0 for the first kv head
  const T* values;
  const int32_t* pages;  // page ids of the sequence
  int64_t page_stride;   // elements from one page to the next
  int64_t row_stride;    // elements from one position to the next inside a page
  int64_t page_size;     // positions
  float scale;
  float* scratch;  // [attention_scratch(tokens * group, kv_heads, head_dim)]
};

/// Floats of scratch memory for `rows` query heads of each kv head: queries and sums, and of one kv head scores and a
/// block of keys and values.
constexpr int64_t attention_scratch(int64_t rows, int64_t kv_heads, int64_t head_dim) {
  const int64_t padded = head_dim + kWidestPanel;
  return kv_heads * rows * (2 * padded + 2) + rows * kAttentionBlock + 2 * kAttentionBlock * padded;
}

/// Attention of a family of packed texts (packed_attention.h) for the query heads of one kv head, with its gradient.
/// Rows are those of the family.
template <typename T>
struct PackedAttentionTask {
  const int64_t* offsets;  // [segments + 1], from 0: segment i is rows [offsets[i], offsets[i + 1])
  int64_t segments;
  int64_t group, head_dim;  // query heads of the kv head; elements of a head
  float scale;
  const T *queries, *keys,
      *values;  // [rows, group, head_dim], [rows, head_dim], [rows, head_dim], rows that far apart:
  int64_t query_stride, key_stride, value_stride;
  T* out;           // [rows, group, head_dim]; read by the gradient
  float* log_sums;  // [rows, group], of exp(score); read by the gradient
  int64_t out_stride, sum_stride;
  const T* grad;  // of out, with its stride; this and the rest are the gradient's alone
  T *query_grad, *key_grad, *value_grad;
  int64_t query_grad_stride, key_grad_stride;  // the latter also of values
  float *key_sums,
      *value_sums;  // take the place of key_grad and value_grad, with their stride, where they are not null
  float* scratch;   // [packed_attention_scratch(...)], at a multiple of 64 bytes
};
inline constexpr int64_t kPackedKeys = 64;     // of a block
inline constexpr int64_t kPackedQueries = 48;  // query heads of a block, if one token does not have more

constexpr int64_t packed_attention_round(int64_t n) { return (n + 15) / 16 * 16; }  // to whole vectors of any set

constexpr int64_t packed_attention_slots(const int64_t* offsets, int64_t segments) {
  int64_t slots = 0;
  for (int64_t s = 0; s < segments; ++s) slots += packed_attention_round(offsets[s + 1] - offsets[s]);
  return slots;
}

/// Floats of scratch memory.
constexpr int64_t packed_attention_scratch(int64_t slots, int64_t group, int64_t head_dim, bool gradient) {
  const int64_t heads = packed_attention_round(group > kPackedQueries ? group : kPackedQueries);
  const int64_t d = packed_attention_round(head_dim);
  return slots * d * (gradient ? 5 : 2) + heads * (3 * d + 2 * kPackedKeys + 2);
}

/// What a row's softmax needs to be sampled from.
struct SoftmaxRow {
  int64_t argmax;  // lowest id among equals; -1 when no logit is a number
  float max;       // of the logits
  double sum;      // of exp((logit - max) * inverse_temperature)
};
inline constexpr int64_t kSoftmaxBlock = 512;  // ids per partial sum
inline constexpr int64_t kMaxBlock = 64;       // ids per maximum of block_max

/// What head_rows() needs of a row of logits.
struct HeadRow {
  float max;
  double sum;       // of exp(x), x = (logit - max) * inverse_temperature
  double weighted;  // of x exp(x)
};

/// What the gradient of a row of logits is made of (head.h).
struct HeadGradient {
  float inverse_temperature, max, log_sum, entropy, g, h;
};

/// A block of a matrix product: rows times columns that were packed. T: float or BFloat16.
///
/// Packed columns lie in panels of Functions::panel_width, one behind the other; in a panel the panel_width numbers of
/// k = 0 come first, then those of k = 1, and so on. The last panel is filled up with zeros. Where Functions::bf16_step
/// is 2, the numbers of bf16 for k = 0 and k = 1 of a column lie side by side, then those of 2 and 3; an odd k is
/// filled up with zeros.
template <typename T, typename Out>
struct ProductTask {
  const float* a;    // [rows, k] as copy_rows() leaves them
  int64_t a_stride;  // from one row to the next, in floats
  int64_t rows;      // at most kProductRows
  int64_t k;         // above 0
  const T* panels;
  int64_t columns;
  const T* bias;  // [columns], or null
  Out* out;       // [rows, columns]
  int64_t out_stride;
  bool add;        // adds the product to what is there
  float* scratch;  // [kProductScratch]
};
inline constexpr int64_t kProductRows = 96;  // of a block: with k in parts, a block stays in the second cache
inline constexpr int64_t kProductGroup = 8;  // panels that are taken through a part of k together
inline constexpr int64_t kProductScratch = kProductRows * kProductGroup * kWidestPanel;

/// Part of a matrix that is to be packed or copied: number (row, column) is data[row * row_stride + column *
/// column_stride], and one of the strides is 1.
template <typename T>
struct MatrixPart {
  const T* data;
  int64_t row_stride, column_stride;
  int64_t rows, columns;
};

/// The inner loops, built once per instruction set. Every function is a fixed sequence of operations for each row: the
/// result does not depend on which rows are computed together.
struct Functions {
  const char* name;
  /// y[r][n] for rows [0, rows) and outputs [n_begin, n_end): x [rows, k], w [n, k], y [rows, n_stride].
  void (*linear)(const float* x, const float* w, const float* bias, float* y, int64_t rows, int64_t n_begin,
                 int64_t n_end, int64_t k, int64_t n_stride);
  int64_t panel_width;
  int64_t bf16_step;  // numbers of k that one instruction takes of bf16, 1 or 2
  /// Packs a matrix [k, columns].
  void (*pack_panels_f32)(const MatrixPart<float>& matrix, float* panels);
  void (*pack_panels_bf16)(const MatrixPart<BFloat16>& matrix, BFloat16* panels);
  /// Copies a matrix to rows that are out_stride apart: of fp32 numbers, or of bf16 ones, of which two take the place
  /// of one, where bf16_step is 2.
  void (*copy_rows_f32)(const MatrixPart<float>& matrix, float* out, int64_t out_stride);
  void (*copy_rows_bf16)(const MatrixPart<BFloat16>& matrix, float* out, int64_t out_stride);
  /// Each sum runs over k in an order that depends on k alone, whatever the rows and columns beside it, and is rounded
  /// to Out once.
  void (*product_f32)(const ProductTask<float, float>& task);
  void (*product_bf16)(const ProductTask<BFloat16, BFloat16>& task);
  void (*product_bf16_f32)(const ProductTask<BFloat16, float>& task);
  /// x += y.
  void (*add_f32)(float* x, const float* y, int64_t n);
  void (*add_bf16)(BFloat16* x, const BFloat16* y, int64_t n);
  void (*rms_norm_f32)(const float* x, const float* weight, float* y, int64_t n, float eps);
  void (*rms_norm_bf16)(const BFloat16* x, const BFloat16* weight, BFloat16* y, int64_t n, float eps);
  /// Writes dx of one row and adds the row's part to dweight [n].
  void (*rms_norm_backward_f32)(const float* dy, const float* x, const float* weight, float* dx, float* dweight,
                                int64_t n, float eps);
  void (*rms_norm_backward_bf16)(const BFloat16* dy, const BFloat16* x, const BFloat16* weight, BFloat16* dx,
                                 float* dweight, int64_t n, float eps);
  void (*silu_mul_f32)(const float* gate, const float* up, float* y, int64_t n);
  void (*silu_mul_bf16)(const BFloat16* gate, const BFloat16* up, BFloat16* y, int64_t n);
  /// dy: [n], becomes silu(gate) * up; gate_up, dgate_up: [2 n], which may be the same.
  void (*silu_mul_backward_f32)(float* dy, const float* gate_up, float* dgate_up, int64_t n);
  void (*silu_mul_backward_bf16)(BFloat16* dy, const BFloat16* gate_up, BFloat16* dgate_up, int64_t n);
  /// One head: x, y [2 * half]; cos, sin [half].
  void (*rope_f32)(const float* x, const float* cos, const float* sin, float* y, int64_t half);
  void (*rope_bf16)(const BFloat16* x, const float* cos, const float* sin, BFloat16* y, int64_t half);
  void (*attention_f32)(const AttentionTask<float>& task);
  void (*attention_bf16)(const AttentionTask<BFloat16>& task);
  void (*packed_attention_f32)(const PackedAttentionTask<float>& task);
  void (*packed_attention_bf16)(const PackedAttentionTask<BFloat16>& task);
  void (*packed_attention_backward_f32)(const PackedAttentionTask<float>& task);
  void (*packed_attention_backward_bf16)(const PackedAttentionTask<BFloat16>& task);
  /// exps: [n] receives exp((logit - max) * inverse_temperature), 0 below e^-87; block_sums: [ceil(n / kSoftmaxBlock)].
  SoftmaxRow (*softmax)(const float* logits, float inverse_temperature, int64_t n, float* exps, double* block_sums);
  /// maxima: [ceil(n / kMaxBlock)].
  void (*block_max)(const float* x, int64_t n, float* maxima);
  HeadRow (*head_row_f32)(const float* logits, float inverse_temperature, int64_t n);
  HeadRow (*head_row_bf16)(const BFloat16* logits, float inverse_temperature, int64_t n);
  /// Overwrites the logits with their gradient as if no id were the target; the caller sets the target's.
  void (*head_gradient_f32)(float* logits, const HeadGradient& row, int64_t n);
  void (*head_gradient_bf16)(BFloat16* logits, const HeadGradient& row, int64_t n);
};

/// The sets this machine can run and GRPO_MAX_CPU_ISA allows, the best one first; the list ends with nullptr. Throws
/// base::ConfigError where the variable names no set.
const Functions* const* usable_functions();

/// The set in use: the best one, unless a test chose another.
const Functions& functions();
void use_functions(const Functions& chosen);

}  // namespace grpo::kernels::cpu
