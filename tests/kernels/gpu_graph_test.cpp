#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
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

// Takes all of a device's memory and leaves it in the allocator's cache, where a graph's pool cannot get at it.
void fill_cache(const at::TensorOptions& options) {
  std::vector<at::Tensor> all;
  for (int64_t bytes = int64_t{1} << 38; bytes >= 1 << 21;) {
    try {
      all.push_back(at::empty({bytes}, options.dtype(at::kByte)));
    } catch (const c10::Error&) {
      bytes /= 2;
    }
  }
}

TEST_F(GpuGraph, IsRecordedWhereTheCacheHoldsAllMemory) {
  fill_cache(x_.options());
  constexpr int64_t kElements = int64_t{1} << 25;
  auto graph = capture_graph(x_.device(), [this] { y_ = x_.narrow(0, 0, 1).expand({kElements}) * 2; });
  x_.fill_(3);
  graph->replay();
  EXPECT_EQ(y_.narrow(0, kElements - 1000, 1000).cpu().sum().item<float>(), 6000.0f);
}

}  // namespace
}  // namespace grpo::kernels
