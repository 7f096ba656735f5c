// Updates on the device are the CPU's, in whatever order its streams run.
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "device/device_fixture.h"
#include "grpo/base/log.h"
#include "grpo/kernels/cuda.h"
#include "support/golden.h"
#include "trainer/sequences.h"
#include "trainer/step_fixture.h"

namespace grpo::host_device {
namespace {

using namespace grpo::trainer;

TrainConfig config() {
  TrainConfig config;
  config.reward.terms = {reward::RewardTerm{}};
  config.rollout.max_new_tokens = 12;
  config.trainer.micro_batch_tokens = 40;
  config.optimizer.lr = 1.0;
  config.optimizer.eps = 1.0;
  config.optimizer.warmup_updates = 0;
  config.optimizer.weight_decay = 0.0;
  return config;
}

models::NamedTensors weights_of(StepFixture& fixture) {
  models::NamedTensors weights;
  for (const auto& [name, tensor] : fixture.policy().model->parameters())
    weights.emplace_back(name, tensor.detach().cpu());
  return weights;
}

class Updates : public HostDevice {
 protected:
  void SetUp() override {
    base::set_quiet(true);
    ASSERT_EQ(kernels::load_cuda(), "");
    batch_ = pairs_of_rollouts(256);
    set_advantages(batch_, {});
  }

  models::NamedTensors plain(at::Device device) {
    StepFixture fixture(testing::golden_section("step") / "model", config(), at::kFloat, device);
    fixture.update(batch_);
    return weights_of(fixture);
  }

  // The weights are written right before, on the caller's stream.
  models::NamedTensors streamed() {
    StepFixture fixture(testing::golden_section("step") / "model", config(), at::kFloat, at::kCUDA);
    const auto context = fixture.context();
    {
      const at::NoGradGuard no_grad;
      for (int i = 0; i < 20; ++i) {
        for (const auto& [name, tensor] : fixture.policy().model->parameters()) tensor.mul_(i % 2 == 0 ? 2.0 : 0.5);
      }
    }
    update::StreamedUpdate stream(context.learner, watch_of(context));
    for (size_t q = 0; q < 6; ++q) {
      stream.announce();
      stream.take(q, sequences_of_group(fixture.config(), batch_.prompts[q],
                                        {batch_.rollouts.begin() + batch_.group_offsets[q],
                                         batch_.rollouts.begin() + batch_.group_offsets[q + 1]}));
    }
    stream.finish(fixture.learned(batch_).scale);
    return weights_of(fixture);
  }

  RolloutBatch batch_;
};

TEST_F(Updates, EqualTheCpusInEveryOrder) {
  const auto expected = plain(at::kCPU);
  for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
    set_seed(seed);
    EXPECT_LE(max_difference(plain(at::kCUDA), expected), 2e-5) << "seed " << seed;
  }
}

// With both ways to attend to a shared prompt: over cumulative lengths, as a GPU does in bf16, and in padded products.
TEST_F(Updates, ThatSharePromptsEqualTheCpusInEveryOrder) {
  const auto expected = plain(at::kCPU);
  auto sharing = config();
  sharing.trainer.share_prompts = update::SharePrompts::kTrue;
  for (const auto kernel : {nn::AttentionKernel::kFlash, nn::AttentionKernel::kPadded}) {
    for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
      set_seed(seed);
      StepFixture fixture(testing::golden_section("step") / "model", sharing, at::kFloat, at::kCUDA);
      fixture.policy().model->set_training_options({.attention = kernel});
      fixture.update(batch_);
      EXPECT_LE(max_difference(weights_of(fixture), expected), 2e-5) << to_string(kernel) << ", seed " << seed;
    }
  }
}

TEST_F(Updates, BesideTheRolloutEqualThePlainOneInEveryOrder) {
  const auto expected = plain(at::kCPU);
  for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
    set_seed(seed);
    EXPECT_LE(max_difference(streamed(), expected), 2e-5) << "seed " << seed;
  }
}

// Without the events between the two streams.
TEST_F(Updates, BesideTheRolloutNeedTheirEvents) {
  const auto expected = plain(at::kCPU);
  uint64_t wrong = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    set_seed(seed);
    plant(Fault::kNoStreamWaits);
    try {
      wrong += !(max_difference(streamed(), expected) <= 2e-5);
    } catch (const std::exception&) {
      ++wrong;
    }
    plant(Fault::kNone);
    set_seed(0);
    take_errors();
  }
  EXPECT_GE(wrong, 1u);
}

// The first of them: the update's stream waits for the weights that the caller's still writes. (Behind its last
// micro-batch the host has waited for the update's stream, so that the event back is a second one.)
TEST_F(Updates, BesideTheRolloutNeedTheEventBeforeThem) {
  const auto expected = plain(at::kCPU);
  bool wrong = false;
  for (uint64_t seed = 1; seed <= kSeeds && !wrong; ++seed) {
    set_seed(seed);
    plant(Fault::kNoStreamWaits, 0);
    wrong = !(max_difference(streamed(), expected) <= 2e-5);
    plant(Fault::kNone);
  }
  EXPECT_TRUE(wrong);
}

// However many micro-batches there are.
TEST_F(Updates, WaitAsOftenForManyMicroBatchesAsForOne) {
  const auto waits = [&](int64_t tokens) {
    auto with = config();
    with.trainer.micro_batch_tokens = tokens;
    StepFixture fixture(testing::golden_section("step") / "model", with, at::kFloat, at::kCUDA);
    fixture.update(batch_);  // tables are made
    const Counts before = counts();
    fixture.update(batch_);
    const Counts after = counts();
    std::printf("an update in micro-batches of %lld tokens: %lld kernels, %lld copies in, %lld out, %lld waits\n",
                static_cast<long long>(tokens), static_cast<long long>(after.kernels - before.kernels),
                static_cast<long long>(after.copies_in - before.copies_in),
                static_cast<long long>(after.copies_out - before.copies_out),
                static_cast<long long>(after.waits - before.waits));
    return after.waits - before.waits + after.event_waits - before.event_waits;
  };
  const auto one = waits(1 << 20);
  EXPECT_EQ(waits(8), one);
  EXPECT_LE(one, 4);
}

}  // namespace
}  // namespace grpo::host_device
