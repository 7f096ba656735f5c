#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "grpo/nn/attention.h"

namespace grpo::nn {

/// The rows of a bucket's segments, padded: x [T, heads, ...] -> [S, repeat * heads, L, ...]. With `repeat` each head
/// is there so often, so that query heads find their key heads.
at::Tensor padded_rows(const at::Tensor& x, const AttentionPlan::Bucket& bucket, int64_t repeat = 1);

/// Back again, without the padding: x [S, heads, L, ...] -> [rows of the bucket, heads, ...].
at::Tensor unpadded_rows(const at::Tensor& x, const AttentionPlan::Bucket& bucket);

}  // namespace grpo::nn
