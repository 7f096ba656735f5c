#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/kernels/cuda.h"
#include "grpo/kernels/graph.h"

namespace grpo::kernels {
namespace {

class GpuGraph : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
    ASSERT_EQ(load_cuda(), "");
    x_ = at::ones({1000}, at::TensorOptions(at::kCUDA));
  }

  // Doubles x_ into y_, which lies in the graphs' pool.
  std::unique_ptr<Graph> record() {
    return capture_graph(x_.device(), [this] { y_ = x_ * 2; });
  }

  void expect_replays(Graph& graph) {
    x_.fill_(3);
    graph.replay();
    EXPECT_EQ(y_.cpu().sum().item<float>(), 6000.0f);
  }

  at::Tensor x_, y_;
};

TEST_F(GpuGraph, IsRecordedAgainAfterAllGraphsHaveDied) {
  for (int generation = 0; generation < 3; ++generation) {
    std::vector<std::unique_ptr<Graph>> graphs;
    for (int i = 0; i < 3; ++i) graphs.push_back(record());
    expect_replays(*graphs.back());
  }
}

TEST_F(GpuGraph, IsRecordedWhileAnotherOneTakesItsPlace) {
  auto graph = record();
  for (int i = 0; i < 3; ++i) graph = record();
  expect_replays(*graph);
}

TEST_F(GpuGraph, ThatFailsShowsTheWorksOwnError) {
  const auto fail = [this] {
    y_ = x_ * 2;
    throw base::Error("the cause");
  };
  try {
    capture_graph(x_.device(), fail);
    FAIL() << "no error";
  } catch (const base::Error& error) {
    EXPECT_STREQ(error.what(), "the cause");
  }
}

// What fails is allowed on no stream that is recorded; afterwards memory is handed out and freed, and other graphs
// work.
TEST_F(GpuGraph, ThatFailsLeavesTheDeviceUsable) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_ANY_THROW(capture_graph(x_.device(), [this] {
      y_ = x_ * 2;
      y_.sum().item();
    }));
    const auto memory = at::zeros({1 << 20}, x_.options());
    EXPECT_EQ((memory + 1).sum().item<float>(), static_cast<float>(1 << 20));
  }
  expect_replays(*record());
}

}  // namespace
}  // namespace grpo::kernels
