#pragma once

#include <cstdint>
#include <vector>

#include "grpo/models/causal_lm.h"

namespace grpo::rollout {

/// What one sequence adds in a forward pass.
struct NewTokens {
  const int64_t* ids = nullptr;
  int64_t count = 0;
  int64_t cached = 0;  // tokens already in the cache
  const std::vector<int32_t>* pages = nullptr;
};

/// The model's input for one pass, on `device`.
models::PagedBatch make_batch(const std::vector<NewTokens>& sequences, at::Device device);

}  // namespace grpo::rollout
