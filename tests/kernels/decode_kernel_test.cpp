#include "kernels/cuda/decode_kernel.h"

#include <gtest/gtest.h>

namespace grpo::kernels::cuda {
namespace {

TEST(DecodeKernel, IsOnTensorCoresFromFourQueryHeadsAKvHeadOn) {
  for (const int64_t group : {1, 2, 3}) EXPECT_FALSE(decodes_on_tensor_cores(DecodeKernel::kAuto, group)) << group;
  for (const int64_t group : {4, 5, 6, 7, 8, 16})
    EXPECT_TRUE(decodes_on_tensor_cores(DecodeKernel::kAuto, group)) << group;
}

TEST(DecodeKernel, MayBeChosenWhereBothFit) {
  for (const int64_t group : {1, 6, 8}) {
    EXPECT_TRUE(decodes_on_tensor_cores(DecodeKernel::kTensorCores, group)) << group;
    EXPECT_FALSE(decodes_on_tensor_cores(DecodeKernel::kPlain, group)) << group;
  }
  EXPECT_TRUE(decodes_on_tensor_cores(DecodeKernel::kPlain, 7));  // the plain one is not compiled for it
}

}  // namespace
}  // namespace grpo::kernels::cuda
