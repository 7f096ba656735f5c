#pragma once

#include <ATen/core/Tensor.h>

namespace grpo::kernels {

/// One layer's keys and values in pages. Token p of a sequence lies in page page_table[s][p / page_size], row
/// p % page_size. A page may belong to several sequences (the shared prompt of a group).
struct PagedKv {
  at::Tensor keys;    // [num_pages, page_size, kv_heads, head_dim], fp32 or bf16
  at::Tensor values;  // the same shape and dtype
};

/// Which tokens one forward pass adds to which sequences: a prefill adds a whole prompt, a decode step one token each.
/// Host tensors on the CPU path; device tensors on CUDA.
struct PagedLayout {
  at::Tensor query_offsets;    // [S + 1] int32: sequence s adds tokens [query_offsets[s], query_offsets[s + 1])
  at::Tensor context_lengths;  // [S] int32: tokens of sequence s in the cache once this pass has written its own
  at::Tensor page_table;       // [S, max_pages] int32; entries past a sequence's last page are not read
};

/// Writes the new keys and values of every sequence to its pages.
/// keys, values: [T, kv_heads, head_dim], T = query_offsets[S].
void write_kv(const at::Tensor& keys, const at::Tensor& values, const PagedLayout& layout, PagedKv& cache);

/// Causal attention of every new token over its own sequence's cache (grouped queries: head h reads kv head
/// h / (heads / kv_heads)). queries: [T, heads, head_dim]; returns the same shape and dtype. Sums are fp32, in blocks at
/// fixed absolute positions, so a token's result depends on its own sequence only: not on the batch, on threads, or on
/// whether it was prefilled or decoded.
at::Tensor paged_attention(const at::Tensor& queries, const PagedKv& cache, const PagedLayout& layout, double scale);

}  // namespace grpo::kernels
