// trainer.deterministic on a CUDA device: two runs, and a resumed one, end with the same bits.
#include <gtest/gtest.h>

#include "grpo/base/log.h"
#include "grpo/kernels/cuda.h"
#include "support/golden.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;

class GpuDeterministic : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (kernels::cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
    ASSERT_EQ(kernels::load_cuda(), "");
    base::set_quiet(true);
  }

  void run(const std::string& name, const std::string& resume) {
    auto config = tiny_config(dir_.path() / name);
    config.model.device = models::DeviceChoice::kCuda;
    config.model.dtype = models::DtypeChoice::kBfloat16;
    config.rollout.exact = false;
    config.trainer.deterministic = true;
    config.trainer.stream_update = GetParam();
    config.trainer.micro_batch_tokens = 200;
    EXPECT_EQ(train(config, {.resume = resume, .config_folder = ""}), Outcome::kFinished);
  }
  fs::path folder(const std::string& name) const { return dir_.path() / name / "tiny"; }

  testing::TempDir dir_;
};

TEST_P(GpuDeterministic, TwoRunsAndAResumedOneAreEqual) {
  run("one", "never");
  run("two", "never");
  expect_equal_runs(folder("one"), folder("two"));
  fs::remove_all(folder("two") / "checkpoints" / "step_00000006");
  fs::remove_all(folder("two") / "checkpoints" / "step_00000004");
  run("two", "auto");
  expect_equal_runs(folder("one"), folder("two"));
}

INSTANTIATE_TEST_SUITE_P(Gpu, GpuDeterministic, ::testing::Bool());

}  // namespace
}  // namespace grpo::trainer
