#pragma once
#include <cstdint>

#include "kernels/cpu/dispatch.h"

// The members of Functions (dispatch.h) as they are built for one instruction set; `functions.cpp` collects them.
namespace grpo::kernels::cpu::GRPO_ISA {

void linear(const float* x, const float* w, const float* bias, float* y, int64_t rows, int64_t n_begin, int64_t n_end,
            int64_t k, int64_t n_stride);
extern const int64_t kPanelWidth, kBf16Step;
template <typename T>
void pack_panels(const MatrixPart<T>& matrix, T* panels);
template <typename T>
void copy_rows(const MatrixPart<T>& matrix, float* out, int64_t out_stride);
template <typename T, typename Out>
void product(const ProductTask<T, Out>& task);
template <typename T>
void add(T* x, const T* y, int64_t n);
template <typename T>
void rms_norm(const T* x, const T* weight, T* y, int64_t n, float eps);
template <typename T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, T* dx, float* dweight, int64_t n, float eps);
template <typename T>
void silu_mul_backward(T* dy, const T* gate_up, T* dgate_up, int64_t n);
template <typename T>
void silu_mul(const T* gate, const T* up, T* y, int64_t n);
template <typename T>
void rope(const T* x, const float* cos, const float* sin, T* y, int64_t half);
template <typename T>
void attention(const AttentionTask<T>& task);
template <typename T>
void packed_attention(const PackedAttentionTask<T>& task);
template <typename T>
void packed_attention_backward(const PackedAttentionTask<T>& task);
SoftmaxRow softmax(const float* logits, float inverse_temperature, int64_t n, float* exps, double* block_sums);
void block_max(const float* x, int64_t n, float* maxima);
template <typename T>
HeadRow head_row(const T* logits, float inverse_temperature, int64_t n);
template <typename T>
void head_gradient(T* logits, const HeadGradient& row, int64_t n);

}  // namespace grpo::kernels::cpu::GRPO_ISA
