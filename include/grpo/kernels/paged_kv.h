#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace grpo::kernels {

/// One layer's keys and values in pages. Token p of a sequence lies in page page_table[s][p / page_size], row
/// p % page_size. A page may belong to several sequences (the shared prompt of a group).
struct PagedKv {
  at::Tensor keys;    // [num_pages, page_size, kv_heads, head_dim], fp32 or bf16
  at::Tensor values;  // the same shape and dtype
};

/// What a device's attention kernels prepared for one pass; all layers use it.
struct AttentionSchedule {
  virtual ~AttentionSchedule() = default;
  std::vector<int64_t> launch;  // all that a launch depends on but device memory: a graph serves schedules with the same numbers
};

/// Which tokens one forward pass adds to which sequences: a prefill adds a whole prompt, a decode step one token each.
/// Host tensors on the CPU path; what an AttentionPlanner returns on CUDA.
struct PagedLayout {
  at::Tensor query_offsets;    // [S + 1] int32: sequence s adds tokens [query_offsets[s], query_offsets[s + 1])
  at::Tensor context_lengths;  // [S] int32: tokens of sequence s in the cache once this pass has written its own
  at::Tensor page_table;       // [S, max_pages] int32; entries past a sequence's last page are not read
  std::shared_ptr<const AttentionSchedule> schedule;  // null on the CPU, and where the device needs none
};

struct AttentionShape {
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t page_size = 0;
  at::ScalarType dtype = at::kFloat;
  bool exact = false;  // a token's result depends on its own sequence only, bit for bit; on the CPU it always does
};

/// Takes the layouts of passes from the host to the device.
class AttentionPlanner {
 public:
  virtual ~AttentionPlanner() = default;

  /// host: a layout of host tensors. The result is ready in the order of the device's current stream.
  virtual PagedLayout plan(const PagedLayout& host) = 0;
};

/// in_place: every call has as many sequences and pages in its table as the first one, and its results lie in the same memory,
/// as a CUDA graph wants them.
std::unique_ptr<AttentionPlanner> plan_attention(const AttentionShape& shape, at::Device device, bool in_place);

/// Writes the new keys and values of every sequence to its pages.
/// keys, values: [T, kv_heads, head_dim], T = query_offsets[S].
void write_kv(const at::Tensor& keys, const at::Tensor& values, const PagedLayout& layout, PagedKv& cache);

/// The query, key and value heads of one layer, as one projection gives them.
struct Qkv {
  at::Tensor heads;      // [T, heads + 2 kv_heads, head_dim]: query, key and value heads; may be columns of a wider matrix
  at::Tensor q_norm;     // [head_dim], RMSNorm of each query head (Qwen3); undefined: none
  at::Tensor k_norm;     // the same for key heads
  double norm_eps = 1e-6;
  at::Tensor positions;  // [T] int64
  at::Tensor cos, sin;   // [max_positions, head_dim / 2] fp32, as apply_rope takes them
};

/// Norms and rotates query and key heads and writes keys and values to their pages. Returns the queries, [T, heads, head_dim].
at::Tensor write_qkv(const Qkv& qkv, const PagedLayout& layout, PagedKv& cache);

/// Causal attention of every new token over its own sequence's cache (grouped queries: head h reads kv head
/// h / (heads / kv_heads)). queries: [T, heads, head_dim]; returns the same shape and dtype. Sums are fp32. On the CPU, and without a
/// schedule, they are in blocks at fixed absolute positions, so that a token's result depends on its own sequence only: not on
/// the batch, on threads, or on whether it was prefilled or decoded.
at::Tensor paged_attention(const at::Tensor& queries, const PagedKv& cache, const PagedLayout& layout, double scale);

}  // namespace grpo::kernels
