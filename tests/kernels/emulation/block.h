#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <type_traits>

// A block of a CUDA kernel on one CPU thread: its threads are fibers that run until they wait for the block or for
// their warp. What this finds: wrong indices, missing or divergent barriers, lanes that leave before a warp-wide
// operation, and, run in both orders, results that depend on the order of threads between barriers. What it does not:
// anything of speed, of memory ordering inside a warp, or of the device compiler.

namespace grpo::testing {

struct BlockIndex {
  unsigned x = 0, y = 0;
};

enum class ThreadOrder { kForward, kBackward };

/// The order in which the threads of later blocks run between barriers.
void set_thread_order(ThreadOrder order);

/// Runs kernel() once for each thread. Throws std::logic_error on a barrier that not all threads reach,
/// std::runtime_error on
/// __trap().
void run_block(BlockIndex block, unsigned threads, size_t shared_bytes, const std::function<void()>& kernel);

// For the thread that runs.

BlockIndex emulated_thread();
BlockIndex emulated_block();
BlockIndex emulated_block_size();
void* emulated_shared_memory();
void wait_for_block();
void wait_for_warp();
[[noreturn]] void trap();

/// The places of this warp's lanes for 8 bytes, for one exchange: a lane that is ahead already has others, so that one
/// wait is enough, between writing and reading.
uint64_t* next_warp_slots();

inline int lane_of_thread() { return static_cast<int>(emulated_thread().x % 32); }

/// The value of lane source(own lane).
template <typename T, typename Source>
T exchange_in_warp(T value, const Source& source) {
  static_assert(sizeof(T) <= sizeof(uint64_t) && std::is_trivially_copyable_v<T>);
  uint64_t* const slots = next_warp_slots();
  std::memcpy(slots + lane_of_thread(), &value, sizeof value);
  wait_for_warp();
  T result;
  std::memcpy(&result, slots + source(lane_of_thread()), sizeof result);
  return result;
}

inline unsigned ballot_in_warp(bool vote) {
  uint64_t* const slots = next_warp_slots();
  slots[lane_of_thread()] = vote ? 1 : 0;
  wait_for_warp();
  unsigned votes = 0;
  for (int lane = 0; lane < 32; ++lane) votes |= static_cast<unsigned>(slots[lane]) << lane;
  return votes;
}

}  // namespace grpo::testing
