// What a decode step costs the host.
#include <ATen/ATen.h>

#include "device/device_fixture.h"
#include "grpo/kernels/cuda.h"
#include "rollout/small_engine.h"

namespace grpo::host_device {
namespace {

class DecodeSteps : public HostDevice {
 protected:
  void SetUp() override { ASSERT_EQ(kernels::load_cuda(), ""); }

  // Of `steps` steps of four sequences, recorded as a graph before.
  static Counts counts_of(rollout::Engine& engine, int64_t steps) {
    const Counts before = counts();
    engine.generate(testing::requests_of({9}, 4), {.temperature = 1.0, .max_new_tokens = steps, .ignore_eos = true},
                    testing::kKey);
    Counts used = counts();
    for (auto member : {&Counts::kernels, &Counts::graphs, &Counts::copies_in, &Counts::copies_out, &Counts::waits,
                        &Counts::event_waits})
      used.*member -= before.*member;
    return used;
  }
};

// Differences between 60 and 20 steps are those of 40 steps.
TEST_F(DecodeSteps, StayWithinTheirBudget) {
  const auto model = testing::small_model(at::kFloat, at::kCUDA);
  rollout::Engine engine(*model, {.max_sequences = 4, .graphs = {true}});
  counts_of(engine, 60);
  const Counts few = counts_of(engine, 20), many = counts_of(engine, 60);
  const auto per_step = [&](int64_t Counts::*member) { return static_cast<double>(many.*member - few.*member) / 40.0; };
  std::printf(
      "a decode step of 2 layers: %.2f kernels, %.2f graphs, %.2f copies in, %.2f out, %.2f waits, %.2f event waits\n",
      per_step(&Counts::kernels), per_step(&Counts::graphs), per_step(&Counts::copies_in),
      per_step(&Counts::copies_out), per_step(&Counts::waits), per_step(&Counts::event_waits));
  EXPECT_EQ(per_step(&Counts::graphs), 1.0);
  EXPECT_EQ(per_step(&Counts::waits), 0.0);        // the host is ahead of the device
  EXPECT_LE(per_step(&Counts::event_waits), 1.0);  // for the tokens of an earlier step
  EXPECT_LE(per_step(&Counts::copies_out), 2.0);   // ids and log-probabilities
  EXPECT_LE(per_step(&Counts::copies_in), 10.0);   // the tables of the step
  EXPECT_LE(per_step(&Counts::kernels), 40.0);
}

}  // namespace
}  // namespace grpo::host_device
