#pragma once

#include "device/nccl/call.h"

namespace grpo::device_nccl {

/// into[i] = into[i] (reduction) other[i]. Floats narrower than 32 bits are combined in fp32 and rounded after each
/// step, as NCCL's kernels do. ncclAvg adds; divide() follows.
void combine(ncclDataType_t type, ncclRedOp_t reduction, void* into, const void* other, size_t count);

/// values[i] /= ranks, the end of ncclAvg.
void divide(ncclDataType_t type, void* values, size_t count, int ranks);

/// values[i] *= factor.
void scale(const Factor& factor, void* values, size_t count);

}  // namespace grpo::device_nccl
