#include "grpo/models/device.h"

#include <ATen/Context.h>
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "models/small_model.h"
#include "support/golden.h"

namespace grpo::models {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

TEST(ResolveDevice, KnowsItsNames) {
  EXPECT_TRUE(resolve_device("cpu").is_cpu());
  EXPECT_EQ(resolve_device("auto").is_cuda(), at::hasCUDA());
  EXPECT_THAT(message_of<base::ConfigError>([] { resolve_device("gpu"); }), HasSubstr("gpu"));
}

TEST(ResolveDevice, SaysThatThereIsNoCuda) {
  if (at::hasCUDA()) {
    EXPECT_TRUE(resolve_device("cuda").is_cuda());
  } else {
    EXPECT_THAT(message_of<base::ConfigError>([] { resolve_device("cuda"); }), HasSubstr("no CUDA device"));
  }
}

TEST(ResolveDtype, TakesFp32OnTheCpuAndTheStoredOneElsewhere) {
  const testing::TempDir dir;
  auto config = testing::small_config_json();
  config["torch_dtype"] = "bfloat16";
  testing::write_config(dir.path(), config);
  EXPECT_EQ(resolve_dtype("auto", dir.path(), at::kCPU), at::kFloat);
  EXPECT_EQ(resolve_dtype("auto", dir.path(), at::kCUDA), at::kBFloat16);
  EXPECT_EQ(resolve_dtype("bfloat16", dir.path(), at::kCPU), at::kBFloat16);
  EXPECT_EQ(resolve_dtype("float32", dir.path(), at::kCUDA), at::kFloat);
  EXPECT_THAT(message_of<base::ConfigError>([&] { resolve_dtype("float23", dir.path(), at::kCPU); }),
              HasSubstr("float32"));
}

}  // namespace
}  // namespace grpo::models
