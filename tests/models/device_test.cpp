#include "grpo/models/device.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/json.h"
#include "grpo/kernels/cuda.h"
#include "models/small_model.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::models {
namespace {

using ::testing::HasSubstr;
using testing::message_of;

TEST(ResolveDevice, TakesAGpuWhereThereIsOneUnlessToldTheCpu) {
  EXPECT_TRUE(resolve_device(DeviceChoice::kCpu).is_cpu());
  EXPECT_EQ(resolve_device(DeviceChoice::kAuto).is_cuda(),
            kernels::cuda_device_count() > 0 && kernels::load_cuda().empty());
}

TEST(ResolveDevice, SaysThatThereIsNoCuda) {
  if (kernels::cuda_device_count() > 0) GTEST_SKIP() << "there is one";
  EXPECT_THAT(message_of<base::ConfigError>([] { resolve_device(DeviceChoice::kCuda); }), HasSubstr("no CUDA device"));
}

TEST(GpuResolveDevice, GivesEachRankADeviceOfItsOwn) {
  const int devices = kernels::cuda_device_count();
  if (devices == 0) GTEST_SKIP() << "no CUDA device";
  EXPECT_EQ(resolve_device(DeviceChoice::kCuda, devices - 1),
            at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(devices - 1)));
  EXPECT_THAT(message_of<base::ConfigError>([&] { resolve_device(DeviceChoice::kAuto, devices); }),
              HasSubstr("no device of its own"));
}

TEST(ResolveDtype, TakesFp32OnTheCpuAndTheStoredOneElsewhere) {
  const testing::TempDir dir;
  auto config = testing::small_config_json();
  config["torch_dtype"] = "bfloat16";
  testing::write_config(dir.path(), config);
  EXPECT_EQ(resolve_dtype(DtypeChoice::kAuto, dir.path(), at::kCPU), at::kFloat);
  EXPECT_EQ(resolve_dtype(DtypeChoice::kAuto, dir.path(), at::kCUDA), at::kBFloat16);
  EXPECT_EQ(resolve_dtype(DtypeChoice::kBfloat16, dir.path(), at::kCPU), at::kBFloat16);
  EXPECT_EQ(resolve_dtype(DtypeChoice::kFloat32, dir.path(), at::kCUDA), at::kFloat);
}

TEST(StoredDtype, IsWhatTheFolderSays) {
  const testing::TempDir dir;
  const auto stored = [&](const char* key, const nlohmann::json& value) {
    io::write_json(dir.path() / "config.json", {{key, value}});
    return stored_dtype(dir.path());
  };
  EXPECT_EQ(stored("torch_dtype", "float32"), at::kFloat);
  EXPECT_EQ(stored("dtype", "float16"), at::kHalf);
  EXPECT_EQ(stored("torch_dtype", "bfloat16"), at::kBFloat16);
  EXPECT_EQ(stored("torch_dtype", "float64"), at::kBFloat16);
  EXPECT_EQ(stored("torch_dtype", nullptr), at::kBFloat16);
  io::write_json(dir.path() / "config.json", nlohmann::json::array({"torch_dtype"}));
  EXPECT_EQ(stored_dtype(dir.path()), at::kBFloat16);
}

}  // namespace
}  // namespace grpo::models
