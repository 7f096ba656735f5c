#include "update/side_stream.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <utility>

namespace grpo::update {
namespace {

constexpr c10::DeviceIndex kDevice = 7;  // an index that no other test uses

// While it lives, LibTorch asks it in place of CUDA, so that devices need not be there. Its pool hands out its streams
// in turn, as CUDA's does.
class PooledStreams : public c10::impl::DeviceGuardImplInterface {
 public:
  PooledStreams() : before_(registered().exchange(this)) {}
  ~PooledStreams() override { registered() = before_; }

  c10::DeviceType type() const override { return at::kCUDA; }
  c10::Device exchangeDevice(c10::Device) const override { return getDevice(); }
  c10::Device getDevice() const override { return {at::kCUDA, kDevice}; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::DeviceIndex deviceCount() const noexcept override { return kDevice + 1; }
  c10::Stream getStream(c10::Device device) const override { return stream(device, current_); }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override { return stream(device, ++handed_out_); }
  c10::Stream exchangeStream(c10::Stream next) const override {
    return stream(next.device(), std::exchange(current_, next.id()));
  }

 private:
  static std::atomic<const DeviceGuardImplInterface*>& registered() {
    return c10::impl::device_guard_impl_registry[static_cast<size_t>(at::kCUDA)];
  }
  static c10::Stream stream(c10::Device device, c10::StreamId id) {
    return c10::Stream(c10::Stream::UNSAFE, device, id);
  }

  const DeviceGuardImplInterface* before_;
  mutable c10::StreamId handed_out_ = 0;
  static thread_local c10::StreamId current_;
};

thread_local c10::StreamId PooledStreams::current_ = 0;

// With one stream, the memory that the allocator keeps for the stream of one step can serve the next step.
TEST(SideStream, IsTheSameOneInEveryStepAndThread) {
  const PooledStreams pool;
  const at::Device device(at::kCUDA, kDevice);
  std::array<c10::StreamId, 3> seen = {};
  for (auto& id : seen) {
    std::thread([&] {
      const auto guard = side_stream(device);
      id = current_stream(device).id();
    }).join();
  }
  EXPECT_NE(seen[0], 0);
  EXPECT_EQ(seen, (std::array<c10::StreamId, 3>{seen[0], seen[0], seen[0]}));
}

TEST(SideStream, IsLeftWithTheGuard) {
  const PooledStreams pool;
  const at::Device device(at::kCUDA, kDevice);
  const auto before = current_stream(device);
  {
    const auto guard = side_stream(device);
    EXPECT_NE(current_stream(device), before);
  }
  EXPECT_EQ(current_stream(device), before);
}

TEST(SideStream, IsNoneOnTheCpu) {
  EXPECT_FALSE(side_stream(at::kCPU).has_value());
  EXPECT_FALSE(record_event(at::kCPU).has_value());
}

}  // namespace
}  // namespace grpo::update
