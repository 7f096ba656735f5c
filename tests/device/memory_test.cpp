// Memory: patterns where nothing may be read yet, and pinned memory that is in use.
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <cstring>

#include "device/device_fixture.h"

namespace grpo::host_device {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

TEST_F(HostDevice, FillsFreshMemoryWithNan) {
  for (const auto type : {at::kFloat, at::kBFloat16, at::kHalf, at::kDouble})
    EXPECT_TRUE(at::empty({1000}, device().dtype(type)).cpu().isnan().all().item<bool>()) << type;
  EXPECT_TRUE((at::empty({1000}, device().dtype(at::kLong)).cpu() == -1).all().item<bool>());
}

TEST_F(HostDevice, OverwritesWhatWasFreedInTheOrderOfItsStream) {
  for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
    set_seed(seed);
    auto x = at::ones({300}, device());
    const auto* place = static_cast<const float*>(x.data_ptr());
    const auto used = x * 2.0;  // launched before it is freed: right
    x.reset();
    EXPECT_EQ(used.sum().cpu().item<float>(), 600.0f) << "seed " << seed;
    EXPECT_TRUE(std::isnan(place[7]));
  }
}

// Freed on its own stream while another one still reads it, without record_stream().
TEST_F(HostDevice, ShowsMemoryThatIsFreedTooEarlyForAnotherStream) {
  uint64_t wrong = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    const auto other = c10::cuda::getStreamFromPool();
    auto x = at::ones({300}, device());
    c10::cuda::device_synchronize();
    at::Tensor sum;
    {
      const c10::cuda::CUDAStreamGuard guard(other);
      sum = x.sum();
    }
    x.reset();
    c10::cuda::getCurrentCUDAStream().synchronize();
    wrong += !(sum.cpu().item<float>() == 300.0f);
  }
  EXPECT_GE(wrong, 1u);
}

TEST_F(HostDevice, FindsPinnedMemoryThatIsRewrittenBeforeItsCopyRan) {
  set_seed(5);
  auto pinned = at::ones({16}, at::TensorOptions().pinned_memory(true));
  const auto moved = pinned.to(at::kCUDA, /*non_blocking=*/true);
  pinned.fill_(2.0);
  EXPECT_ANY_THROW(c10::cuda::device_synchronize());
  EXPECT_THAT(take_errors(), Contains(HasSubstr("pinned memory was rewritten before its copy of 64 bytes")));
}

TEST_F(HostDevice, ShowsTheHostAPatternUntilACopyRan) {
  set_seed(5);
  const auto x = at::ones({4}, device());
  auto pinned = at::zeros({4}, at::TensorOptions().pinned_memory(true));
  pinned.copy_(x, /*non_blocking=*/true);
  EXPECT_TRUE(pinned.isnan().all().item<bool>());
  c10::cuda::getCurrentCUDAStream().synchronize();
  EXPECT_EQ(pinned.sum().item<float>(), 4.0f);
}

TEST_F(HostDevice, CountsCopiesAndWaits) {
  const auto x = at::ones({4}, device());
  const Counts before = counts();
  const auto pinned = at::ones({4}, at::TensorOptions().pinned_memory(true));
  const auto moved = pinned.to(at::kCUDA, /*non_blocking=*/true);
  auto y = x + moved;
  Counts now = counts();
  EXPECT_EQ(now.copies_in - before.copies_in, 1);
  EXPECT_EQ(now.kernels - before.kernels, 1);
  EXPECT_EQ(now.waits - before.waits, 0);
  EXPECT_EQ(y.sum().item<float>(), 8.0f);
  now = counts();
  EXPECT_EQ(now.copies_out - before.copies_out, 1);
  EXPECT_EQ(now.waits - before.waits, 1);
}

TEST_F(HostDevice, RunsOutOfMemoryAsCudaDoes) {
  EXPECT_THROW(at::empty({int64_t{90} << 30}, device().dtype(at::kByte)), c10::OutOfMemoryError);
  take_errors();
  EXPECT_EQ(value(at::ones({}, device())), 1.0);
}

}  // namespace
}  // namespace grpo::host_device
