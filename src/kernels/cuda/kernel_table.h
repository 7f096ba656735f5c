#pragma once

#include <utility>

#include "grpo/kernels/cuda.h"
#include "grpo/kernels/graph.h"
#include "grpo/kernels/head.h"
#include "grpo/kernels/paged_kv.h"
#include "grpo/kernels/rowwise.h"
#include "grpo/kernels/sample.h"

namespace grpo::kernels::cuda {

/// The functions of rowwise.h, head.h, paged_kv.h, sample.h and graph.h for tensors on a CUDA device, on its current
/// stream. They live in a library of their own that is loaded when a device is asked for: the program itself needs no
/// CUDA to start.
struct KernelTable {
  decltype(&kernels::rms_norm) rms_norm;
  decltype(&kernels::rms_norm_backward) rms_norm_backward;
  decltype(&kernels::add_rms_norm) add_rms_norm;
  decltype(&kernels::silu_mul) silu_mul;
  decltype(&kernels::silu_mul_backward_) silu_mul_backward_;
  decltype(&kernels::rope_into) rope_into;
  decltype(&kernels::head_rows) head_rows;
  decltype(&kernels::head_gradient_) head_gradient_;
  decltype(&kernels::write_kv) write_kv;
  decltype(&kernels::write_qkv) write_qkv;
  decltype(&kernels::plan_attention) plan_attention;
  decltype(&kernels::paged_attention) paged_attention;
  decltype(&kernels::sample_tokens) sample_tokens;
  decltype(&kernels::keep_sampled_) keep_sampled_;
  decltype(&kernels::capture_graph) capture_graph;
  decltype(&kernels::push_range) push_range;
  decltype(&kernels::pop_range) pop_range;
};

/// Throws base::Error with what load_cuda() returned when the kernels are missing.
const KernelTable& kernels();

}  // namespace grpo::kernels::cuda

/// What the library exports.
extern "C" const grpo::kernels::cuda::KernelTable* grpo_cuda_kernels();
