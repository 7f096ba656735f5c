#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "grpo/kernels/paged_kv.h"

namespace grpo::rollout {

/// The tokens that one sequence adds in a forward pass.
struct NewTokens {
  const int64_t* ids = nullptr;  // null: the device knows them
  int64_t count = 0;
  int64_t cached = 0;  // tokens already in the cache
  const std::vector<int32_t>* pages = nullptr;
};

/// The inputs of one forward pass, as tensors on the host.
struct ForwardBatch {
  at::Tensor ids;        // [T] int64; undefined where the device knows them
  at::Tensor positions;  // [T] int64
  kernels::PagedLayout layout;
};

/// Makes the inputs of a pass over these sequences. Its layout lists only the pages that the sequences' tokens need.
ForwardBatch make_batch(const std::vector<NewTokens>& sequences, int64_t page_size);

/// The batch sizes that graphs are made for: 1, 2, 4, ..., 64 and every 32 up to max_sequences, which is the last one.
std::vector<int64_t> graph_sizes(int64_t max_sequences);

}  // namespace grpo::rollout
