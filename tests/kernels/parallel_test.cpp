#include "kernels/parallel.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>

#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

using testing::with_threads;

std::set<std::thread::id> threads_of(int64_t ranges) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  for_ranges(ranges, 1, [&](int64_t, int64_t) {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  return ids;
}

// A source that is compiled without OpenMP would run all of them on the thread that calls.
TEST(ForRanges, RunOnAsManyThreadsAsThereAre) {
  EXPECT_EQ(with_threads(3, [] { return threads_of(3).size(); }), 3u);
  EXPECT_EQ(with_threads(3, [] { return threads_of(1).size(); }), 1u);
  EXPECT_EQ(with_threads(1, [] { return threads_of(3).size(); }), 1u);
}

TEST(ForRanges, CoverEveryItemOnce) {
  for (const int64_t grain : {1, 7, 1000}) {
    const auto seen = with_threads(3, [&] {
      auto counts = std::make_unique<std::array<std::atomic<int>, 100>>();
      for_ranges(100, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++(*counts)[static_cast<size_t>(i)];
      });
      return counts;
    });
    for (const auto& count : *seen) EXPECT_EQ(count, 1);
  }
}

TEST(ForRanges, HandOnWhatARangeThrows) {
  const auto throws = [] {
    for_ranges(2, 1, [](int64_t begin, int64_t) {
      if (begin == 1) throw std::runtime_error("one");
    });
    return false;
  };
  EXPECT_THROW(throws(), std::runtime_error);
}

}  // namespace
}  // namespace grpo::kernels
