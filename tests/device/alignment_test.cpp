// Compiled as our kernels are: vectors that are not aligned are found.
#include <ATen/ops/ones.h>

#include "device/device_fixture.h"

namespace grpo::host_device {
namespace {

struct alignas(16) Pack {
  float at[4];
};

void copy_pack(const float* from, float* to) { *reinterpret_cast<Pack*>(to) = *reinterpret_cast<const Pack*>(from); }

TEST_F(HostDevice, FindsAVectorThatIsNotAligned) {
  const auto x = at::ones({16}, device()), y = at::ones({16}, device());
  const auto run = [&](int64_t offset) {
    launch(c10::cuda::getCurrentCUDAStream().stream(),
           {"copy_pack", {}, [=] { copy_pack(x.const_data_ptr<float>() + offset, y.mutable_data_ptr<float>()); }});
  };
  run(4);
  c10::cuda::device_synchronize();
  EXPECT_THAT(take_errors(), ::testing::IsEmpty());
  run(1);
  EXPECT_ANY_THROW(c10::cuda::device_synchronize());
  EXPECT_THAT(take_errors(),
              ::testing::Contains(::testing::HasSubstr("an access of 16 bytes that begins 4 bytes off")));
}

}  // namespace
}  // namespace grpo::host_device
