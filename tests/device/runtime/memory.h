#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "device/host_device.h"

// The device's memory and pinned host memory: what exists, what is handed out, and the pattern of what is not.

namespace grpo::host_device {

/// Bytes of this value are NaN as float, double, bf16 and half, and -1 as an integer.
inline constexpr int kPattern = 0xff;

/// cudaMalloc and cudaFree. False: no room.
bool allocate(void** pointer, size_t bytes, int device);
/// REQUIRES: the device has nothing left to do. False: not allocated here.
bool release(void* pointer);
size_t free_bytes(int device);

/// A place in memory that work uses: it can be asked later whether it is still the same piece.
struct Place {
  Span span;
  uint64_t piece = 0;  // what LibTorch's allocator handed out; 0: nothing that it knows
  Span whole;          // that piece
  uint64_t segment = 0;
};
Place place_of(const Span& span);
/// Empty, or what is wrong. A piece as large that was handed out in the same place again is fine: split weights are
/// gathered anew where they were, and a graph's owner has compared addresses. pooled: the piece may have been taken
/// back, but its segment must be there.
std::string what_is_gone(const Place& place, bool pooled);
/// Grows with each piece handed out.
uint64_t latest_piece();

enum class Kind { kDevice, kPinned, kPageable };
Kind kind_of(const void* pointer);
int device_of(const void* pointer);

bool allocate_pinned(void** pointer, size_t bytes);
void release_pinned(void* pointer);
void register_pinned(void* pointer, size_t bytes);
void unregister_pinned(void* pointer);

void fill(void* pointer, size_t bytes);  // with the pattern; nothing without arithmetic
/// The same for memory of allocate(), where large pieces get fresh pages.
void fill_device(void* pointer, size_t bytes);
uint64_t fingerprint(const void* pointer, size_t bytes);

struct MemoryCounts {
  int64_t allocations = 0, bytes = 0, most_bytes = 0;  // cudaMalloc
  int64_t handed_out = 0, most_handed_out = 0;         // bytes, by LibTorch's allocator
};
MemoryCounts memory_counts();

}  // namespace grpo::host_device
