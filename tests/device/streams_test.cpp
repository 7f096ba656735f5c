// Order: what streams and events demand is kept, what they do not is not.
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "device/device_fixture.h"

namespace grpo::host_device {
namespace {

using c10::cuda::CUDAStream;
using c10::cuda::CUDAStreamGuard;

// A long chain on one stream, and its result read on another one: behind an event, or not.
double read_on_another_stream(bool wait) {
  const CUDAStream first = c10::cuda::getStreamFromPool(), second = c10::cuda::getStreamFromPool();
  const CUDAStreamGuard guard(first);
  auto x = at::zeros({}, at::TensorOptions(at::kCUDA));
  first.synchronize();
  for (int i = 0; i < 40; ++i) x.add_(1.0);
  at::cuda::CUDAEvent done;
  done.record(first);
  at::Tensor seen;
  {
    const CUDAStreamGuard other(second);
    if (wait) done.block(second);
    seen = x * 1.0;
    second.synchronize();
  }
  const double found = seen.cpu().item<double>();
  first.synchronize();
  return found;
}

TEST_F(HostDevice, KeepsTheOrderThatEventsDemand) {
  for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
    set_seed(seed);
    EXPECT_EQ(read_on_another_stream(true), 40.0) << "seed " << seed;
  }
}

TEST_F(HostDevice, ShowsAMissingWaitAsAWrongNumber) {
  uint64_t wrong = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    wrong += read_on_another_stream(false) != 40.0;
  }
  EXPECT_GE(wrong, kSeeds / 2);
}

TEST_F(HostDevice, RunsNothingBeforeSomebodyWaits) {
  set_seed(1);
  auto x = at::ones({1}, device());
  const auto stream = c10::cuda::getCurrentCUDAStream();
  stream.synchronize();
  x.add_(1.0);
  EXPECT_EQ(*static_cast<const float*>(x.data_ptr()), 1.0f);
  stream.synchronize();
  EXPECT_EQ(*static_cast<const float*>(x.data_ptr()), 2.0f);
}

TEST_F(HostDevice, WorksAlsoWhenNobodyWaits) {
  set_seed(1);
  auto x = at::ones({1}, device());
  x.add_(1.0);
  at::cuda::CUDAEvent done;
  done.record();
  for (int i = 0; i < 1000 && !done.query(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_TRUE(done.query());
}

// As a collective does it: a host function that waits for others, in the order of its stream, while the other streams
// go on.
TEST_F(HostDevice, RunsHostFunctionsInOrderAndBesideOtherStreams) {
  for (uint64_t seed = 0; seed <= 4; ++seed) {
    set_seed(seed);
    const CUDAStream first = c10::cuda::getStreamFromPool(), second = c10::cuda::getStreamFromPool();
    std::atomic<bool> open = false;
    auto x = at::zeros({1}, device());
    c10::cuda::device_synchronize();
    {
      const CUDAStreamGuard guard(first);
      cudaLaunchHostFunc(
          first.stream(),
          [](void* gate) {
            while (!*static_cast<std::atomic<bool>*>(gate)) std::this_thread::yield();
          },
          &open);
      x.add_(1.0);
    }
    {
      const CUDAStreamGuard guard(second);
      const auto other = at::ones({1}, device()) * 3.0;
      second.synchronize();
      EXPECT_EQ(*static_cast<const float*>(other.data_ptr()), 3.0f);
      EXPECT_EQ(*static_cast<const float*>(x.data_ptr()), 0.0f);
    }
    open = true;
    first.synchronize();
    EXPECT_EQ(*static_cast<const float*>(x.data_ptr()), 1.0f);
  }
}

// The result of a collective that was not waited for.
TEST_F(HostDevice, ShowsAnUnwaitedCollectiveAsAWrongNumber) {
  uint64_t wrong = 0;
  for (const bool waits : {true, false}) {
    for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
      set_seed(seed);
      plant(waits ? Fault::kNone : Fault::kNoStreamWaits);
      const CUDAStream compute = c10::cuda::getStreamFromPool(), collective = c10::cuda::getStreamFromPool();
      const CUDAStreamGuard guard(compute);
      auto x = at::ones({1}, device());
      compute.synchronize();
      at::cuda::CUDAEvent ready, reduced;
      ready.record(compute);
      ready.block(collective);
      cudaLaunchHostFunc(
          collective.stream(),
          [](void* data) {
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
            *static_cast<float*>(data) = 8.0f;
          },
          x.data_ptr());
      reduced.record(collective);
      reduced.block(compute);
      const auto used = x * 1.0;
      compute.synchronize();
      const bool right = *static_cast<const float*>(used.data_ptr()) == 8.0f;
      collective.synchronize();
      if (waits) {
        EXPECT_TRUE(right) << "seed " << seed;
      }
      wrong += !waits && !right;
    }
  }
  EXPECT_GE(wrong, kSeeds / 2);
}

}  // namespace
}  // namespace grpo::host_device
