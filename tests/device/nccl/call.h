#pragma once

#include <nccl.h>

#include <cstddef>
#include <cstdint>
#include <string>

// What a rank is asked to do.

namespace grpo::device_nccl {

enum class Kind : int32_t {
  kNone,
  kAllReduce,
  kReduce,
  kBroadcast,
  kAllGather,
  kReduceScatter,
  kAllToAll,
  kGather,
  kScatter,
  kSend,
  kReceive
};

/// What has to be equal on the ranks that meet in a call. Lies in shared memory.
struct Call {
  Kind kind = Kind::kNone;
  ncclDataType_t type = ncclInt8;
  ncclRedOp_t reduction = ncclSum;  // of reducing kinds, with ncclNumOps for every operator that was made at run time
  int32_t root = 0;                 // of reduce, broadcast, gather, scatter
  uint64_t count = 0;               // elements of one block

  bool operator==(const Call&) const = default;
};

std::string to_string(const Call& call);

/// A number that each rank multiplies its own values with before they are added (ncclRedOpCreatePreMulSum).
struct Factor {
  ncclDataType_t type = ncclFloat32;
  alignas(8) std::byte value[8] = {};
  const void* place = nullptr;  // on the device, read while the collective runs; null: `value`
};

struct Operation {
  Call call;
  const void* in = nullptr;
  void* out = nullptr;
  int peer = 0;  // of send and receive
  bool scaled = false;
  Factor factor = {};
};

size_t bytes_of(ncclDataType_t type);

}  // namespace grpo::device_nccl
