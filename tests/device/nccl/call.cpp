#include "device/nccl/call.h"

#include <array>
#include <nlohmann/json.hpp>

namespace grpo::device_nccl {

std::string to_string(const Call& call) {
  constexpr std::array kKinds = {"nothing",    "all_reduce", "reduce",  "broadcast", "all_gather", "reduce_scatter",
                                 "all_to_all", "gather",     "scatter", "send",      "receive"};
  constexpr std::array kTypes = {"int8",    "uint8",   "int32",   "uint32",   "int64",      "uint64",
                                 "float16", "float32", "float64", "bfloat16", "float8e4m3", "float8e5m2"};
  return std::string(kKinds.at(static_cast<size_t>(call.kind))) + " of " + std::to_string(call.count) + " " +
         kTypes.at(static_cast<size_t>(call.type)) + ", operator " + std::to_string(call.reduction) + ", root " +
         std::to_string(call.root);
}

size_t bytes_of(ncclDataType_t type) {
  constexpr std::array<size_t, ncclNumTypes> kBytes = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1};
  return kBytes.at(static_cast<size_t>(type));
}

}  // namespace grpo::device_nccl
