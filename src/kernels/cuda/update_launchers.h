#pragma once

#include <cstdint>

#include "kernels/cuda/launchers.h"

// The kernels that only training uses; launchers.h has those of sampling.

namespace grpo::kernels::cuda {

// The functions of rowwise.h.

/// partial: [ceil(rows / kNormBackwardRows), width] fp32 receives the weight's gradient by blocks of rows.
inline constexpr int64_t kNormBackwardRows = 16;
cudaError_t rms_norm_backward(Element type, const void* grad, const void* x, const void* weight, void* dx,
                              float* partial, int64_t rows, int64_t width, float eps, cudaStream_t stream);

/// grad: [rows, width]; gate_up, grad_gate_up: [rows, 2 width], which may be the same memory.
cudaError_t silu_mul_backward(Element type, void* grad, const void* gate_up, void* grad_gate_up, int64_t rows,
                              int64_t width, cudaStream_t stream);

/// x and y: rows of heads * head_dim elements, which may be the same memory. y_stride: as Rows has it.
cudaError_t rope_into(Element type, Rows x, const int64_t* positions, RopeTable table, void* y, int64_t y_stride,
                      int64_t tokens, int64_t heads, int64_t head_dim, cudaStream_t stream);

// The functions of head.h.

/// HeadRows, on the device.
struct HeadRowData {
  float* log_probs;
  float* entropy;
  float* max;
  float* log_sum;
};
/// A target outside the vocabulary stops the kernel with an error.
cudaError_t head_rows(Element type, const void* logits, const int64_t* targets, float inverse_temperature,
                      HeadRowData rows, int64_t count, int64_t vocabulary, cudaStream_t stream);

/// g, h: may be null.
cudaError_t head_gradient(Element type, void* logits, const int64_t* targets, float inverse_temperature,
                          HeadRowData rows, const float* g, const float* h, int64_t count, int64_t vocabulary,
                          cudaStream_t stream);

}  // namespace grpo::kernels::cuda
