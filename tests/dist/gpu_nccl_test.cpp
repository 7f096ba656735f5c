// Ranks that have a GPU each: tensors on the devices cross over NCCL.
#include <gmock/gmock.h>

#include "dist/nccl_library.h"
#include "dist/worker_ranks.h"

namespace grpo::dist {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

class GpuNccl : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string problem = nccl_problem(1);
    if (!problem.empty()) GTEST_SKIP() << "two GPUs are needed: " << problem;
  }
};

TEST_F(GpuNccl, TwoRanksAgreeWithTheCpu) {
  WorkerRanks ranks(2, "device_collectives");
  EXPECT_THAT(ranks.wait(120), Each(0)) << ranks.text(0) << ranks.text(1);
  EXPECT_THAT(ranks.text(0), Not(HasSubstr("leak"))) << "the group was not shut down";
}

TEST_F(GpuNccl, NamesTheRankThatDoesNotCome) {
  WorkerRanks ranks(2, "one_never_comes_to_a_device", 5);
  EXPECT_THAT(ranks.wait(120), Each(1));
  EXPECT_THAT(ranks.text(0), HasSubstr("all_reduce_sum (collective number 3, in step 2, update) waited 5 s (distributed.timeout_s) for rank 1"));
}

}  // namespace
}  // namespace grpo::dist
