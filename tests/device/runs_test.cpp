// Whole runs on the device, in whatever order its streams run.
#include "device/device_fixture.h"
#include "grpo/base/log.h"
#include "grpo/kernels/cuda.h"
#include "trainer/step_fixture.h"
#include "trainer/tiny_run.h"

namespace grpo::host_device {
namespace {

using namespace grpo::trainer;

class Runs : public HostDevice {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    ASSERT_EQ(kernels::load_cuda(), "");
  }

  TrainConfig config(const std::string& name) const {
    auto config = tiny_config(dir_.path() / name);
    config.model.device = models::DeviceChoice::kCuda;
    config.rollout.prompts_per_step = 4;
    config.rollout.max_new_tokens = 8;
    config.algorithm.entropy_coef = 0.01;  // trains groups whose rewards are equal, too
    config.rollout.exact = false;
    config.trainer.micro_batch_tokens = 60;
    config.trainer.steps = 2;
    return config;
  }

  std::filesystem::path finish(const TrainConfig& config) const {
    EXPECT_EQ(train(config, {.resume = "never", .config_folder = ""}), Outcome::kFinished);
    const auto folder = std::filesystem::path(config.run.output) / "tiny";
    EXPECT_GT(comparable_metrics(folder).back().at("grad_norm"), 0.0) << "nothing was trained";
    return folder;
  }

  testing::TempDir dir_;
};

TEST_F(Runs, AreTheSameToTheLastBitInEveryOrder) {
  const auto at_once = finish(config("at_once"));
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    auto other = config(std::to_string(seed));
    other.trainer.offload_optimizer = seed % 2 == 0 ? OffloadOptimizer::kTrue : OffloadOptimizer::kFalse;
    expect_equal_runs(at_once, finish(other), "step_00000002");
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

TEST_F(Runs, BesideTheRolloutAreTheSameToTheLastBitInEveryOrder) {
  const auto streamed = [&](const std::string& name) {
    auto streamed = config(name);
    streamed.trainer.stream_update = true;
    return finish(streamed);
  };
  const auto at_once = streamed("at_once");
  const uint64_t seeds = seeds_of_long_tests(6);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    set_seed(seed);
    expect_equal_runs(at_once, streamed(std::to_string(seed)), "step_00000002");
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
  std::printf("the same bits in %llu orders\n", static_cast<unsigned long long>(seeds));
}

// The sampler adds the adapters' products to what the weights give, in graphs; the reference is the same weights.
TEST_F(Runs, OfAdaptersAreTheSameToTheLastBitInEveryOrder) {
  const auto adapted = [&](const std::string& name) {
    auto adapted = config(name);
    adapted.model.lora = {.rank = 4, .alpha = 8.0, .dropout = 0.1};
    adapted.algorithm.kl.coef = 0.01;
    adapted.optimizer.lr = 3e-3;
    adapted.optimizer.warmup_updates = 0;
    return finish(adapted);
  };
  const auto at_once = adapted("at_once");
  EXPECT_GT(comparable_metrics(at_once).back().at("kl/reference"), 1e-9);
  const uint64_t seeds = seeds_of_long_tests(3);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    set_seed(seed);
    expect_equal_runs(at_once, adapted(std::to_string(seed)), "step_00000002");
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace grpo::host_device
