#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

// Kernels over raw device memory. This header and the .cu files include neither ATen nor another grpo header, so that
// nvcc compiles them fast and as C++17; table.cpp turns tensors into these arguments. Launches are asynchronous on
// `stream`, touch no host memory and allocate nothing: each can be captured in a CUDA graph. They return what
// cudaGetLastError says.

namespace grpo::kernels::cuda {

enum class Element { kFloat, kBFloat16 };

/// Rows of a matrix: dense inside, `stride` elements from one to the next.
struct Rows {
  const void* data;
  int64_t stride;
};

// The functions of rowwise.h. Outputs are dense.

cudaError_t rms_norm(Element type, const void* x, const void* weight, void* y, int64_t rows, int64_t width, float eps,
                     cudaStream_t stream);

cudaError_t add_rms_norm(Element type, const void* x, const void* residual, const void* weight, void* sum, void* normed,
                         int64_t rows, int64_t width, float eps, cudaStream_t stream);

cudaError_t silu_mul(Element type, Rows gate, Rows up, void* y, int64_t rows, int64_t width, cudaStream_t stream);

/// cos, sin: [table_rows, head_dim / 2]. A position outside the table stops the kernel with an error.
struct RopeTable {
  const float* cos;
  const float* sin;
  int64_t rows;
};

// The functions of paged_kv.h.

/// PagedLayout, on the device.
struct Layout {
  const int32_t* query_offsets;
  const int32_t* context_lengths;
  const int32_t* page_offsets;
  const int32_t* page_ids;
  int32_t sequences;
};

/// PagedKv.
struct Cache {
  void* keys;
  void* values;
  int64_t page_size;
  int64_t kv_heads;
  int64_t head_dim;
};

cudaError_t write_kv(Element type, Rows keys, Rows values, const Layout& layout, const Cache& cache, int64_t tokens,
                     cudaStream_t stream);

struct QkvProjection {
  Rows qkv;                  // [tokens, heads + 2 kv_heads, head_dim]
  const void* q_norm;        // [head_dim], or null
  const void* k_norm;        // [head_dim], or null
  float eps;                 // of the norms
  const int64_t* positions;  // [tokens]
  RopeTable rope;
  int64_t tokens;
  int64_t heads;
};
cudaError_t write_qkv(Element type, const QkvProjection& projection, const Layout& layout, const Cache& cache,
                      void* queries, cudaStream_t stream);

/// paged_attention() without a plan, since it reads the layout on the device. One block for each token and query head.
/// head_dim: any up to kMaxSimpleHeadDim.
inline constexpr int64_t kMaxSimpleHeadDim = 256;
cudaError_t simple_attention(Element type, const void* queries, const Layout& layout, const Cache& cache, void* out,
                             int64_t tokens, int64_t heads, float scale, cudaStream_t stream);

// The functions of sample.h.

/// SampleRows and Sampled, on the device: one entry for each row.
struct SampledRows {
  const double* temperature;
  const int64_t* top_k;
  const double* top_p;
  const double* uniform;
  int64_t* ids;
  float* log_probs;
};
inline constexpr int64_t kMaxVocabulary = 1 << 19;
cudaError_t sample(Element type, Rows logits, int64_t rows, int64_t vocabulary, const SampledRows& state,
                   cudaStream_t stream);

struct Truncated {
  double temperature;
  int64_t top_k;
  double top_p;
};
/// logits: [rows, vocabulary], dense. kept: [rows].
cudaError_t keep_sampled(Element type, void* logits, int64_t rows, int64_t vocabulary, const int64_t* targets,
                         Truncated truncated, float* kept, cudaStream_t stream);

}  // namespace grpo::kernels::cuda
