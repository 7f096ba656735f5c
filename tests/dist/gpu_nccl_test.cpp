// Ranks that have a GPU each: tensors on the devices cross over NCCL.
#include <gmock/gmock.h>

#include <cstdlib>

#include "dist/nccl_library.h"
#include "dist/worker_ranks.h"

namespace grpo::dist {
namespace {

using ::testing::AnyOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

class GpuNccl : public ::testing::Test {
 protected:
  void SetUp() override { need(2); }

  // GPUs, or devices of host memory.
  static void need(int64_t devices) {
    const std::string problem = nccl_problem(devices - 1);
    if (!problem.empty()) GTEST_SKIP() << devices << " GPUs are needed: " << problem;
  }
  static bool on_host_device() { return std::getenv("GRPO_HOST_DEVICE_COUNT") != nullptr; }
};

void expect_success(int64_t count, const std::string& scenario) {
  WorkerRanks ranks(count, scenario);
  EXPECT_THAT(ranks.wait(120), Each(0)) << ranks.text(0) << ranks.text(1);
  EXPECT_THAT(ranks.text(0), Not(HasSubstr("leak"))) << "the group was not shut down";
}

TEST_F(GpuNccl, TwoRanksAgreeWithTheCpu) { expect_success(2, "device_collectives"); }

TEST_F(GpuNccl, FourRanksAgreeWithTheCpu) {
  need(4);
  if (!IsSkipped()) expect_success(4, "device_collectives");
}

TEST_F(GpuNccl, WaitsForARankThatIsLate) { expect_success(2, "one_is_late_to_a_device"); }

TEST_F(GpuNccl, EndsWhenARankDies) {
  WorkerRanks ranks(2, "one_dies_beside_a_device", 5);
  const auto codes = ranks.wait(120);
  EXPECT_NE(codes[0], 0) << ranks.text(0);
  EXPECT_EQ(codes[1], 9);
  // Whichever is first: NCCL may notice, or the run's store, which names the rank.
  EXPECT_THAT(ranks.text(0), AnyOf(HasSubstr("all_reduce_sum failed"), HasSubstr("rank 1 on host")));
}

// Nothing compares the ranks' sizes, on GPUs either: the collective does not end, and that is noticed.
TEST_F(GpuNccl, EndsWhenRanksBringDifferentSizes) {
  WorkerRanks ranks(2, "one_brings_another_size_to_a_device", 5);
  EXPECT_THAT(ranks.wait(120), Each(1));
  EXPECT_THAT(ranks.text(0), HasSubstr("all_reduce_sum (collective number 3, in start) waited 5 s"));
}

// Only there the order is sure: a GPU may be faster than the reader.
TEST_F(GpuNccl, ASumThatNobodyWaitedForIsReadTooEarlyOnTheHostDevice) {
  if (!on_host_device()) GTEST_SKIP() << "not on devices of host memory";
  WorkerRanks ranks(2, "one_forgets_to_wait_on_a_device");
  EXPECT_THAT(ranks.wait(120), Each(0)) << ranks.text(0) << ranks.text(1);
  EXPECT_THAT(ranks.text(0), HasSubstr("read too early"));
}

TEST_F(GpuNccl, NamesTheRankThatDoesNotCome) {
  WorkerRanks ranks(2, "one_never_comes_to_a_device", 5);
  EXPECT_THAT(ranks.wait(120), Each(1));
  EXPECT_THAT(
      ranks.text(0),
      HasSubstr(
          "all_reduce_sum (collective number 3, in step 2, update) waited 5 s (distributed.timeout_s) for rank 1"));
}

}  // namespace
}  // namespace grpo::dist
