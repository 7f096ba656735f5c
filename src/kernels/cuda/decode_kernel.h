#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "grpo/kernels/paged_kv.h"

namespace grpo::kernels::cuda {

/// Group sizes (query heads per kv head) for which FlashInfer's decode kernel on plain arithmetic units is compiled.
inline constexpr int64_t kDecodeGroups[] = {1, 2, 3, 4, 6, 8};

/// From this group size on the decode kernel waits for the issue of its instructions more than for memory, so tensor
/// cores are faster.
inline constexpr int64_t kTensorCoreGroup = 4;

/// Whether decode steps with `group` query heads per kv head run on tensor cores, in FlashInfer's prefill kernel, which
/// takes any group size.
inline bool decodes_on_tensor_cores(DecodeKernel kernel, int64_t group) {
  const bool compiled = std::find(std::begin(kDecodeGroups), std::end(kDecodeGroups), group) != std::end(kDecodeGroups);
  return !compiled || kernel == DecodeKernel::kTensorCores ||
         (kernel == DecodeKernel::kAuto && group >= kTensorCoreGroup);
}

}  // namespace grpo::kernels::cuda
