#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "grpo/kernels/paged_kv.h"

namespace grpo::kernels::cuda {

/// Plans for FlashInfer's kernels in bf16 with head dimensions 64 and 128. For other shapes, and where results have to
/// be exact, the layouts get no schedule, and simple_attention serves them.
std::unique_ptr<AttentionPlanner> plan_attention(const AttentionShape& shape, at::Device device, int64_t page_capacity);

/// paged_attention() with the schedule that the planner made for `layout`. queries, out: [T, heads, head_dim] bf16.
void run_scheduled(const AttentionSchedule& schedule, const at::Tensor& queries, const PagedKv& cache,
                   const PagedLayout& layout, double scale, at::Tensor& out);

}  // namespace grpo::kernels::cuda
