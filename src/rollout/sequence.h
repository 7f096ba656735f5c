#pragma once

#include <cstdint>
#include <vector>

#include "grpo/rollout/engine.h"

namespace grpo::rollout {

/// One completion that is being sampled. The host may have asked for tokens that have not
/// come back from the device yet.
struct Sequence {
  size_t request = 0;
  int64_t sample = 0;     // index within the request, from 0
  Completion completion;  // the tokens that have come back from the device
  int64_t drawn = 0;      // tokens asked for: those in `completion` and those on their way
  bool ended = false;     // its last token has come back; tokens still on their way are dropped
  std::vector<int32_t> pages;
  int64_t cached = 0;  // tokens with keys and values in the cache: the prompt and all drawn tokens but the last
  int64_t slot = 0;    // where the device keeps the last token; below max_sequences
};

/// A request of which not all samples have started.
struct WaitingPrompt {
  size_t request = 0;
  int64_t tokens = 0;
  int64_t num_samples = 0;
  int64_t started = 0;         // number of samples that have started
  std::vector<int32_t> pages;  // pages of the prompt; empty while it is not in the cache
  bool in_cache() const { return !pages.empty(); }
};

}  // namespace grpo::rollout
