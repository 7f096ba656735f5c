#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "device/host_device.h"

namespace grpo::host_device {

/// Leaves the device as it was: well, in order, without a planted fault.
class HostDevice : public ::testing::Test {
 protected:
  void TearDown() override {
    plant(Fault::kNone);
    set_seed(0);
    EXPECT_THAT(take_errors(), ::testing::IsEmpty());
  }

  static at::TensorOptions device() { return at::TensorOptions(at::kCUDA); }
  static double value(const at::Tensor& x) { return x.cpu().item<double>(); }
};

inline constexpr uint64_t kSeeds = 20;

/// Of a test that takes seconds an order: as many as GRPO_HOST_DEVICE_SEEDS says, else `otherwise`.
inline uint64_t seeds_of_long_tests(uint64_t otherwise) {
  const char* const text = std::getenv("GRPO_HOST_DEVICE_SEEDS");
  return text == nullptr ? otherwise : std::stoull(text);
}

}  // namespace grpo::host_device
