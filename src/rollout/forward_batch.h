#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "grpo/kernels/paged_kv.h"

namespace grpo::rollout {

/// The tokens that a forward pass adds to one sequence.
struct NewTokens {
  const int64_t* ids = nullptr;  // null if only the device knows them
  int64_t count = 0;
  int64_t cached = 0;  // tokens already in the cache
  const std::vector<int32_t>* pages = nullptr;
};

/// The inputs of one forward pass, as tensors on the host.
struct ForwardBatch {
  at::Tensor ids;        // [T] int64; undefined if only the device knows them
  at::Tensor positions;  // [T] int64
  kernels::PagedLayout layout;
};

/// Makes the inputs of a pass over these sequences. The layout lists only the pages that their tokens need.
ForwardBatch make_batch(const std::vector<NewTokens>& sequences, int64_t page_size);

/// As make_batch, in the tensors of an earlier pass of `batch`, where they have the right sizes. REQUIRES: that pass is
/// done, or has copies of them.
void set_batch(ForwardBatch& batch, const std::vector<NewTokens>& sequences, int64_t page_size);

/// The tensor's memory if it has `size` elements of this type, else new memory in its place.
void resize_host(at::Tensor& tensor, int64_t size, at::ScalarType type);

/// The batch sizes for which graphs are made: 1, 2, 4, ..., 64, then every 32, and max_sequences itself as the last.
std::vector<int64_t> graph_sizes(int64_t max_sequences);

}  // namespace grpo::rollout
