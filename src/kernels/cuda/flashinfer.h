#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

// FlashInfer's paged attention in bf16, compiled for some head dimensions. Like launchers.h, this header includes no
// ATen. A pass is planned on the host once (which keys and values each block reads: long contexts are split over
// several blocks) and then run for every layer. Functions throw std::exception with what went wrong.

namespace grpo::kernels::cuda {

/// What a plan is made from, on the host.
struct HostPages {
  const int32_t* query_offsets;  // [sequences + 1]
  const int32_t* page_offsets;   // [sequences + 1]: the pages of a sequence are page_ids[page_offsets[s] ..]
  int64_t sequences;
  int64_t heads;
  int64_t kv_heads;
  int64_t page_size;
  bool fixed;  // sizes and addresses must suit a CUDA graph: they depend on the number of sequences and tokens only
  int64_t tokens() const { return query_offsets[sequences]; }
};

/// The same pages on the device.
struct DevicePages {
  const int32_t* query_offsets;
  const int32_t* page_offsets;
  const int32_t* page_ids;
  const int32_t* last_page_lengths;  // [sequences]: tokens in a sequence's last page
};

/// Memory of a plan. host_ints is pinned and is read by a copy on the plan's stream after the call has returned.
struct Workspace {
  void* floats;
  size_t float_bytes;
  void* ints;
  void* host_ints;
  size_t int_bytes;
};

struct WorkspaceBytes {
  size_t floats;
  size_t ints;
};

using Schedule = std::vector<int64_t>;  // FlashInfer's own numbers

struct AttentionOperands {
  const void* queries;  // [tokens, heads, head_dim] bf16
  void* out;            // the same
  const void* keys;     // [pages, page_size, kv_heads, head_dim] bf16
  const void* values;   // the same
  float scale;
};

struct FlashInferKernel {
  WorkspaceBytes (*workspace)(const HostPages& pages, cudaStream_t stream);
  Schedule (*plan)(const HostPages& pages, const Workspace& workspace, cudaStream_t stream);
  void (*run)(const Schedule& schedule, const HostPages& sizes, const DevicePages& pages, const Workspace& workspace,
              const AttentionOperands& operands, cudaStream_t stream);
};

/// For one new token per sequence and the group sizes that kDecodeGroups lists (decode_kernel.h).
extern const FlashInferKernel kDecode64, kDecode128;

/// For any number of new tokens per sequence and any group size: causal attention on tensor cores.
extern const FlashInferKernel kPrefill64, kPrefill128;

}  // namespace grpo::kernels::cuda
