#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace grpo::kernels {

class Upload;

/// One layer's keys and values in pages. Token p of a sequence lies in page p / page_size of its list, row p %
/// page_size. A page may belong to several sequences (the shared prompt of a group).
struct PagedKv {
  at::Tensor keys;    // [num_pages, page_size, kv_heads, head_dim], fp32 or bf16
  at::Tensor values;  // the same shape and dtype
};

/// What a device's attention kernels prepared for one pass; all layers use it.
struct AttentionSchedule {
  virtual ~AttentionSchedule() = default;
  // All numbers that a launch depends on, except the contents of device memory. A graph that was captured with one
  // schedule serves every schedule with the same numbers.
  std::vector<int64_t> launch;
};

/// Which tokens one forward pass adds to which sequences: a prefill adds a whole prompt, a decode step one token each.
/// It is made of host tensors; an AttentionPlanner takes it to the device. The pages of sequence s are
/// page_ids[page_offsets[s]] to page_ids[page_offsets[s + 1] - 1]: as many as its tokens need, or more.
struct PagedLayout {
  at::Tensor query_offsets;    // [S + 1] int32: sequence s adds tokens [query_offsets[s], query_offsets[s + 1])
  at::Tensor context_lengths;  // [S] int32: tokens of sequence s in the cache once this pass has written its own
  at::Tensor page_offsets;     // [S + 1] int32
  at::Tensor page_ids;         // [at least page_offsets[S]] int32
  std::shared_ptr<const AttentionSchedule> schedule;  // null on the CPU, and where the device needs none
};

/// Which kernel computes the attention of decode steps where a device has several that could.
enum class DecodeKernel {
  kAuto,
  kPlain,        // plain arithmetic, a thread for some elements of each key
  kTensorCores,  // the query heads of a kv head as rows of a matrix product
};

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_size = 0;
  at::ScalarType dtype = at::kFloat;
  bool exact = false;  // a token's result depends on its own sequence only, bit for bit; on the CPU it always does
  DecodeKernel decode_kernel = DecodeKernel::kAuto;
};

/// Takes the layouts of passes from the host to the device.
class AttentionPlanner {
 public:
  virtual ~AttentionPlanner() = default;

  /// host: a layout of host tensors whose sequences have at least one token each, and exactly the pages that they need.
  /// Adds it to `upload` and sends all that was added there. The result is ready in the order of the device's current
  /// stream.
  virtual PagedLayout plan(const PagedLayout& host, Upload& upload) = 0;
};

/// page_capacity: 0 where passes may differ in all their sizes. Otherwise every pass must have as many sequences as the
/// first one and at most page_capacity pages in all; with an upload in place the results of all passes then lie in the
/// same memory, as a CUDA graph needs it.
std::unique_ptr<AttentionPlanner> plan_attention(const AttentionShape& shape, at::Device device, int64_t page_capacity);

/// Writes the new keys and values of every sequence to its pages.
/// keys, values: [T, kv_heads, head_dim], T = query_offsets[S].
void write_kv(const at::Tensor& keys, const at::Tensor& values, const PagedLayout& layout, PagedKv& cache);

/// The query, key and value heads of one layer, as one projection gives them.
struct Qkv {
  at::Tensor heads;   // [T, heads + 2 kv_heads, head_dim]: query, key and value heads; may be columns of a wider matrix
  at::Tensor q_norm;  // [head_dim], weight of the RMSNorm of each query head (Qwen3); undefined: none
  at::Tensor k_norm;  // the same for key heads
  double norm_eps = 1e-6;
  at::Tensor positions;  // [T] int64
  at::Tensor cos, sin;   // [max_positions, head_dim / 2] fp32, as apply_rope takes them
};

/// Applies the RMSNorms and rotations to query and key heads and writes keys and values to their pages. Returns the
/// queries, [T, heads, head_dim]; place: as in rowwise.h.
at::Tensor write_qkv(const Qkv& qkv, const PagedLayout& layout, PagedKv& cache);
at::Tensor write_qkv_into(const at::Tensor& place, const Qkv& qkv, const PagedLayout& layout, PagedKv& cache);

/// Causal attention of every new token over its own sequence's cache (grouped queries: head h reads kv head
/// h / (heads / kv_heads)). queries: [T, heads, head_dim]; returns the same shape and dtype. Sums are fp32. On the CPU,
/// and on CUDA without a schedule, their order is given by absolute positions, so that a token's result depends on its
/// own sequence only: not on the batch, on threads, or on whether it was prefilled or decoded. place: as in rowwise.h.
at::Tensor paged_attention(const at::Tensor& queries, const PagedKv& cache, const PagedLayout& layout, double scale);
at::Tensor paged_attention_into(const at::Tensor& place, const at::Tensor& queries, const PagedKv& cache,
                                const PagedLayout& layout, double scale);

}  // namespace grpo::kernels
