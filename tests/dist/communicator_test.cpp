#include "grpo/dist/communicator.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cstdlib>

#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Sets an environment variable for one scope; the tests of this program run one after the other.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

std::string error_of(const DistributedConfig& config) {
  try {
    make_communicator(config);
  } catch (const base::ConfigError& error) {
    return error.what();
  }
  return "no error";
}

class OneProcess : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}) unsetenv(name);
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
}

TEST_F(OneProcess, FailsAtWhatWouldFailWithSeveralRanks) {
  const auto communicator = make_communicator({.backend = Backend::kSingle});
  at::Tensor undefined;
  auto tensor = at::zeros({1});
  EXPECT_THROW(communicator->all_reduce_sum(undefined), std::logic_error);
  EXPECT_THROW(communicator->broadcast(tensor, 1), std::logic_error);
  EXPECT_THROW(communicator->barrier(""), std::logic_error);
}

TEST_F(OneProcess, RefusesBackendsAndShardingThatAreNotBuilt) {
  EXPECT_THAT(error_of({.backend = Backend::kGloo}), HasSubstr("distributed.backend: gloo is not in this build"));
  EXPECT_THAT(error_of({.backend = Backend::kNccl}), HasSubstr("distributed.backend: nccl is not in this build"));
  EXPECT_THAT(error_of({.sharding = Sharding::kZero1}), HasSubstr("distributed.sharding: zero1"));
  EXPECT_THAT(error_of({.sharding = Sharding::kZero3}), HasSubstr("distributed.sharding: zero3"));
  EXPECT_EQ(error_of({.sharding = Sharding::kNone}), "no error");
}

TEST_F(OneProcess, RefusesToBeOneOfSeveralRanksUnlessTold) {
  for (const char* name : {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"}) {
    const Environment four(name, "4");
    EXPECT_THAT(error_of({}), HasSubstr(std::string(name) + "=4"));
    EXPECT_EQ(error_of({.backend = Backend::kSingle}), "no error");
  }
  const Environment one("WORLD_SIZE", "1");
  EXPECT_EQ(error_of({}), "no error");
}

TEST(DistributedNames, AreThoseOfTheConfiguration) {
  EXPECT_THAT(enum_names(Backend{}), ElementsAre("auto", "single", "gloo", "nccl"));
  EXPECT_THAT(enum_names(Sharding{}), ElementsAre("auto", "none", "zero1", "zero3"));
}

}  // namespace
}  // namespace grpo::dist
