#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "grpo/kernels/paged_kv.h"

namespace grpo::kernels::cuda {

/// FlashInfer's kernels for bf16 and head dimensions 64 and 128; for other shapes layouts without a schedule, which
/// simple_attention serves.
std::unique_ptr<AttentionPlanner> plan_attention(const AttentionShape& shape, at::Device device, int64_t page_capacity);

/// schedule: what such a planner made for `layout`. queries, out: [T, heads, head_dim] bf16.
void run_scheduled(const AttentionSchedule& schedule, const at::Tensor& queries, const PagedKv& cache,
                   const PagedLayout& layout, double scale, at::Tensor& out);

}  // namespace grpo::kernels::cuda
