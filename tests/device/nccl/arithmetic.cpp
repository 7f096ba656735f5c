#include "device/nccl/arithmetic.h"

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Float8_e4m3fn.h>
#include <torch/headeronly/util/Float8_e5m2.h>
#include <torch/headeronly/util/Half.h>

#include <algorithm>
#include <stdexcept>
#include <type_traits>

namespace grpo::device_nccl {
namespace {

// The type that a value is calculated in.
template <typename T>
using Wide = std::conditional_t<std::is_arithmetic_v<T>, T, float>;

// Calls body with a value of the C++ type.
template <typename Body>
void with_type(ncclDataType_t type, const Body& body) {
  switch (type) {
    case ncclInt8:
      return body(int8_t{});
    case ncclUint8:
      return body(uint8_t{});
    case ncclInt32:
      return body(int32_t{});
    case ncclUint32:
      return body(uint32_t{});
    case ncclInt64:
      return body(int64_t{});
    case ncclUint64:
      return body(uint64_t{});
    case ncclFloat16:
      return body(c10::Half{});
    case ncclFloat32:
      return body(float{});
    case ncclFloat64:
      return body(double{});
    case ncclBfloat16:
      return body(c10::BFloat16{});
    case ncclFloat8e4m3:
      return body(c10::Float8_e4m3fn{});
    case ncclFloat8e5m2:
      return body(c10::Float8_e5m2{});
    default:
      throw std::logic_error("no such data type");
  }
}

template <typename W>
W combined(ncclRedOp_t reduction, W a, W b) {
  switch (reduction) {
    case ncclProd:
      return static_cast<W>(a * b);
    case ncclMax:
      return std::max(a, b);
    case ncclMin:
      return std::min(a, b);
    default:
      return static_cast<W>(a + b);  // sum, average and sum of scaled values
  }
}

}  // namespace

void combine(ncclDataType_t type, ncclRedOp_t reduction, void* into, const void* other, size_t count) {
  with_type(type, [&](auto example) {
    using T = decltype(example);
    T* const a = static_cast<T*>(into);
    const T* const b = static_cast<const T*>(other);
    for (size_t i = 0; i < count; ++i)
      a[i] = static_cast<T>(combined<Wide<T>>(reduction, static_cast<Wide<T>>(a[i]), static_cast<Wide<T>>(b[i])));
  });
}

void divide(ncclDataType_t type, void* values, size_t count, int ranks) {
  with_type(type, [&](auto example) {
    using T = decltype(example);
    T* const a = static_cast<T*>(values);
    for (size_t i = 0; i < count; ++i) a[i] = static_cast<T>(static_cast<Wide<T>>(a[i]) / static_cast<Wide<T>>(ranks));
  });
}

void scale(const Factor& factor, void* values, size_t count) {
  with_type(factor.type, [&](auto example) {
    using T = decltype(example);
    const auto* const stored = static_cast<const T*>(factor.place != nullptr ? factor.place : factor.value);
    T* const a = static_cast<T*>(values);
    const auto by = static_cast<Wide<T>>(*stored);
    for (size_t i = 0; i < count; ++i) a[i] = static_cast<T>(static_cast<Wide<T>>(a[i]) * by);
  });
}

}  // namespace grpo::device_nccl
