#pragma once

#include "grpo/kernels/head.h"
#include "grpo/kernels/rowwise.h"

// The functions of rowwise.h and head.h that training alone uses, for tensors on the device.

namespace grpo::kernels::cuda {

decltype(kernels::rms_norm_backward) rms_norm_backward;
decltype(kernels::silu_mul_backward_) silu_mul_backward_;
decltype(kernels::rope_into) rope_into;
decltype(kernels::head_rows) head_rows;
decltype(kernels::head_gradient_) head_gradient_;

}  // namespace grpo::kernels::cuda
