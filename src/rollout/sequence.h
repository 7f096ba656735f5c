#pragma once

#include <cstdint>
#include <vector>

#include "grpo/rollout/engine.h"

namespace grpo::rollout {

/// One completion that is being sampled. The device may be some steps behind what the host has asked it for.
struct Sequence {
  size_t request = 0;
  int64_t sample = 0;     // index inside the request, from 0
  Completion completion;  // the tokens that have come back from the device
  int64_t drawn = 0;      // tokens asked for: those of the completion, and those on their way
  bool ended = false;     // its last token has come back; what still is on its way is dropped
  std::vector<int32_t> pages;
  int64_t cached = 0;  // tokens whose keys and values are in the cache: prompt and drawn ones but the last
  int64_t slot = 0;    // where the device keeps its last token, below max_sequences
};

/// A request whose samples have not all started.
struct WaitingPrompt {
  size_t request = 0;
  int64_t tokens = 0;
  int64_t num_samples = 0;
  int64_t started = 0;         // samples
  std::vector<int32_t> pages;  // of the prompt; empty while it is not in the cache
  bool in_cache() const { return !pages.empty(); }
};

}  // namespace grpo::rollout
