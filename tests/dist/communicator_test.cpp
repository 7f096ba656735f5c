#include "grpo/dist/communicator.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>

#include <cstdlib>

#include "dist/nccl_library.h"
#include "grpo/base/error.h"
#include "support/message_of.h"

namespace grpo::dist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Sets an environment variable for one scope; the tests of this program run one after the other.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Variable() { unsetenv(name_); }

 private:
  const char* name_;
};

std::string error_of(const DistributedConfig& config) {
  return testing::message_of<base::ConfigError>([&] { make_communicator(config); });
}

class OneProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"RANK", "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
      unsetenv(name);
  }
};

TEST_F(OneProcess, IsWhatAutoGivesAndLeavesTensorsAsTheyAre) {
  const auto communicator = make_communicator({});
  EXPECT_EQ(communicator->rank(), 0);
  EXPECT_EQ(communicator->size(), 1);
  auto tensor = at::tensor({1.5, -2.0}, at::kDouble);
  communicator->all_reduce_sum(tensor);
  communicator->all_reduce_max(tensor);
  communicator->broadcast(tensor, 0);
  communicator->barrier("test");
  EXPECT_TRUE(tensor.equal(at::tensor({1.5, -2.0}, at::kDouble)));
  EXPECT_THAT(communicator->all_gather({3.0, 4.0}), ElementsAre(ElementsAre(3.0, 4.0)));
  EXPECT_THAT(communicator->all_gather_bytes("ab"), ElementsAre("ab"));
  auto other = at::zeros({2, 1}, at::kDouble);
  communicator->reduce_scatter_sum(other, tensor);
  EXPECT_TRUE(other.view({-1}).equal(tensor));
  communicator->all_gather_into(other, tensor * 2);
  EXPECT_TRUE(other.view({-1}).equal(tensor * 2));
  communicator->enter_phase("test");
  communicator->report_failure("nobody else is there");
  EXPECT_EQ(communicator->local_rank(), 0);
  EXPECT_EQ(communicator->bytes_sent(), 0);
}

TEST_F(OneProcess, FailsAtWhatWouldFailWithSeveralRanks) {
  const auto communicator = make_communicator({.backend = Backend::kSingle});
  at::Tensor undefined;
  auto tensor = at::zeros({1});
  EXPECT_THROW(communicator->all_reduce_sum(undefined), std::logic_error);
  EXPECT_THROW(communicator->broadcast(tensor, 1), std::logic_error);
  EXPECT_THROW(communicator->barrier(""), std::logic_error);
  auto two = at::zeros({2}), half = at::zeros({1}, at::kHalf);
  EXPECT_THROW(communicator->reduce_scatter_sum(tensor, two), std::logic_error);
  EXPECT_THROW(communicator->all_gather_into(two, tensor), std::logic_error);
  EXPECT_THROW(communicator->all_gather_into(half, tensor), std::logic_error);
}

TEST_F(OneProcess, TakesEveryShardingAndRefusesABackendThatIsNotHere) {
  EXPECT_EQ(error_of({.backend = Backend::kGloo}), "no error");  // one rank needs no backend
  EXPECT_EQ(error_of({.sharding = ShardingChoice::kZero1}), "no error");
  EXPECT_EQ(error_of({.sharding = ShardingChoice::kZero2}), "no error");
  EXPECT_EQ(error_of({.sharding = ShardingChoice::kZero3}), "no error");
  EXPECT_EQ(error_of({.sharding = ShardingChoice::kNone}), "no error");
  if (nccl_problem(0).empty()) GTEST_SKIP() << "there is a CUDA device and NCCL";
  EXPECT_THAT(error_of({.backend = Backend::kNccl}),
              HasSubstr("distributed.backend: nccl: " + nccl_problem(0) + "; use auto or gloo"));
}

TEST_F(OneProcess, IsOneOfSeveralOnlyWhenTheEnvironmentSaysAllOfIt) {
  const Variable four("WORLD_SIZE", "4");
  EXPECT_THAT(error_of({}), HasSubstr("RANK is not set, but WORLD_SIZE=4"));
  EXPECT_EQ(error_of({.backend = Backend::kSingle}), "no error");
}

TEST(DistributedNames, AreThoseOfTheConfiguration) {
  EXPECT_THAT(enum_names(Backend{}), ElementsAre("auto", "single", "gloo", "nccl"));
  EXPECT_THAT(enum_names(ShardingChoice{}), ElementsAre("auto", "none", "zero1", "zero2", "zero3"));
  EXPECT_THAT(enum_names(ReduceDtype{}), ElementsAre("float32", "bfloat16"));
}

}  // namespace
}  // namespace grpo::dist
