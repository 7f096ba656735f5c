#pragma once

#include <cstdint>
#include <vector>

#include "grpo/rollout/engine.h"

namespace grpo::rollout {

/// One completion in the making.
struct Sequence {
  size_t request = 0;
  int64_t sample = 0;  // index inside the request, from 0
  Completion completion;
  std::vector<int32_t> pages;
  int64_t cached = 0;  // tokens whose keys and values are in the cache: all but the last sampled one
};

/// A request whose samples have not all started.
struct Prompt {
  size_t request = 0;
  int64_t tokens = 0;
  int64_t num_samples = 0;
  int64_t started = 0;         // samples
  std::vector<int32_t> pages;  // of the prompt; empty while it is not in the cache
  bool in_cache() const { return !pages.empty(); }
};

}  // namespace grpo::rollout
