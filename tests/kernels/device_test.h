#pragma once

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cos.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sin.h>
#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "grpo/kernels/cuda.h"
#include "kernels/cuda/kernel_table.h"
#include "kernels/emulation/block.h"
#include "support/on_host_device.h"

// Tests of device kernels that run in two places: compiled for the CPU (emulation/block.h) and on a CUDA device.

namespace grpo::testing {

using kernels::PagedKv;
using kernels::PagedLayout;

struct Place {
  at::Device device;
  const kernels::cuda::KernelTable& (*table)();
  std::vector<int64_t> prompts;  // lengths of four
  int64_t sampled_rows;
};

inline void PrintTo(const Place& place, std::ostream* out) { *out << place.device; }

inline std::string name_of(const ::testing::TestParamInfo<Place>& info) { return info.param.device.str(); }

inline const kernels::cuda::KernelTable& emulated() { return *grpo_cuda_kernels(); }

inline const at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};

class DeviceTest : public ::testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    if (GetParam().device.is_cuda()) {
      if (kernels::cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
      ASSERT_EQ(kernels::load_cuda(), "");
    }
    // Seeding asks LibTorch for CUDA. If its CUDA part were loaded only afterwards, the process would have no CUDA.
    at::manual_seed(1);
  }

  const kernels::cuda::KernelTable& table() const { return GetParam().table(); }

  at::Tensor there(const at::Tensor& x) const { return x.to(GetParam().device); }

  PagedLayout there(const PagedLayout& layout) const {
    return {there(layout.query_offsets), there(layout.context_lengths), there(layout.page_offsets),
            there(layout.page_ids), nullptr};
  }
  PagedKv there(const PagedKv& cache) const { return {there(cache.keys.clone()), there(cache.values.clone())}; }

  // What `compute` returns. Threads may not depend on each other's order between barriers.
  at::Tensor run(const std::function<at::Tensor()>& compute) const {
    set_thread_order(ThreadOrder::kBackward);
    const auto backward = compute().cpu();
    set_thread_order(ThreadOrder::kForward);
    auto forward = compute().cpu();
    EXPECT_TRUE(at::equal(forward.nan_to_num(), backward.nan_to_num())) << "depends on the order of threads";
    return forward;
  }
};

// bf16 may round to the other neighbour (2^-8 relative). fp32: of numbers near 1.
inline void expect_near(const at::Tensor& found, const at::Tensor& expected, double fp32 = 5e-6) {
  ASSERT_EQ(found.scalar_type(), expected.scalar_type());
  ASSERT_EQ(found.sizes(), expected.sizes());
  if (found.numel() == 0) return;
  const auto a = found.to(at::kDouble), b = expected.to(at::kDouble);
  const double error = ((a - b).abs() / (b.abs() + 0.1)).max().item<double>();
  EXPECT_LT(error, found.scalar_type() == at::kFloat ? fp32 : 0.0079) << found.sizes();
}

inline at::Tensor random(at::IntArrayRef sizes, at::ScalarType type, double spread = 1.0) {
  return (at::randn(sizes) * spread).to(type);
}

struct Rotations {
  at::Tensor cos, sin;  // [100, head_dim / 2]
};

inline Rotations rotations(int64_t head_dim) {
  const auto angles = at::arange(100, at::kFloat).unsqueeze(1) * at::rand({head_dim / 2});
  return {at::cos(angles), at::sin(angles)};
}

}  // namespace grpo::testing
