#pragma once

#include <ATen/Parallel.h>
#include <c10/util/FunctionRef.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace grpo::kernels {

/// Work below this many multiply-adds stays on one thread: waking others takes longer.
inline constexpr int64_t kWorthAThread = 400'000;

/// Cuts [0, items) into ranges of at least `grain` and calls work(begin, end) for each, on LibTorch's threads of this
/// process (at::set_num_threads). The first exception is rethrown.
void for_ranges(int64_t items, int64_t grain, c10::function_ref<void(int64_t begin, int64_t end)> work);

/// Calls work(next) on several threads, where next() hands out 0 .. items - 1 and then -1. cost: of all items, in
/// multiply-adds. For items of unequal size: each thread takes the next item when it is free, so that none waits for a
/// thread that is slow or has other work.
template <typename Work>
void share_items(int64_t items, int64_t cost, Work&& work) {
  std::atomic<int64_t> taken = 0;
  const auto next = [&taken, items] {
    const int64_t item = taken.fetch_add(1, std::memory_order_relaxed);
    return item < items ? item : int64_t{-1};
  };
  const int64_t threads =
      std::clamp<int64_t>(cost / kWorthAThread, 1, std::clamp<int64_t>(items, 1, at::get_num_threads()));
  if (threads <= 1) {
    work(next);
    return;
  }
  for_ranges(threads, 1, [&](int64_t, int64_t) { work(next); });
}

}  // namespace grpo::kernels
