// One GRPO update of a tiny model against TRL's numbers (tests/golden/README.md, "step").
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "grpo/io/file.h"
#include "grpo/io/safetensors.h"
#include "grpo/kernels/cuda.h"
#include "grpo/models/weights.h"
#include "support/golden.h"
#include "support/thread_ranks.h"
#include "trainer/profile.h"
#include "trainer/step_fixture.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;

class GoldenStep : public ::testing::Test {
 protected:
  fs::path folder_ = testing::golden_section("step");
  nlohmann::json expected_ = testing::read_golden_json(folder_ / "expected.json");
  io::Safetensors tensors_ = io::Safetensors::open(folder_ / "expected.safetensors");

  at::Tensor tensor(const std::string& name) const { return models::tensor_view(tensors_.at(name)).clone(); }

  TrainConfig config(double lr) const {
    const auto& h = expected_.at("hyperparameters");
    TrainConfig config;
    config.reward.terms = {reward::RewardTerm{}};
    config.rollout.temperature = h.at("temperature");
    config.rollout.group_size = h.at("num_generations");
    config.algorithm.advantage.std = algo::Std::kSample;
    config.algorithm.advantage.std_eps = 1e-4;
    config.algorithm.policy.clip_low = h.at("epsilon");
    config.algorithm.policy.clip_high = h.at("epsilon_high");
    config.algorithm.kl.coef = h.at("beta");
    config.optimizer.lr = lr;
    config.optimizer.warmup_steps = 0;
    config.optimizer.betas = h.at("betas").get<std::vector<double>>();
    config.optimizer.eps = h.at("eps");
    config.optimizer.weight_decay = h.at("weight_decay");
    config.optimizer.clip_grad_norm = h.at("max_grad_norm");
    return config;
  }

  // The golden rollouts: prompts are left-padded, completions right-padded.
  RolloutBatch batch(int64_t group_size) const {
    const auto prompt_ids = tensor("prompt_ids"), prompt_mask = tensor("prompt_mask").to(at::kBool);
    const auto ids = tensor("completion_ids"), mask = tensor("completion_mask").to(at::kBool);
    const auto old = tensor("old_logprobs"), rewards = tensor("rewards");
    RolloutBatch batch;
    batch.group_offsets = {0};
    for (int64_t row = 0; row < ids.size(0); ++row) {
      if (row % group_size == 0) {
        batch.prompts.push_back({.row = row / group_size, .id = "", .text = "", .gold = "",
                                 .ids = to_vector<int64_t>(prompt_ids[row].masked_select(prompt_mask[row]))});
      }
      Rollout rollout;
      rollout.prompt = batch.prompts.size() - 1;
      rollout.sample = row % group_size;
      rollout.completion.ids = to_vector<int64_t>(ids[row].masked_select(mask[row]));
      rollout.old_log_probs = to_vector<float>(old[row].masked_select(mask[row]));
      rollout.completion.log_probs = rollout.old_log_probs;
      rollout.score.reward = rewards[row].item<double>();
      batch.rollouts.push_back(rollout);
      if ((row + 1) % group_size == 0) batch.group_offsets.push_back(row + 1);
    }
    return batch;
  }

  template <typename T>
  static std::vector<T> to_vector(const at::Tensor& values) {
    const auto flat = values.contiguous();
    return {flat.const_data_ptr<T>(), flat.const_data_ptr<T>() + flat.numel()};
  }

  // Tolerance: README, "Compare after1 with 1e-5 abs".
  void expect_weights(StepFixture& fixture, const std::string& prefix, double tolerance) const {
    for (const auto& [name, parameter] : fixture.policy().model->parameters()) {
      EXPECT_LE((parameter.detach() - tensor(prefix + name)).abs().max().item<double>(), tolerance) << name;
    }
  }
};

TEST_F(GoldenStep, AdvantagesGradientsAndOneUpdateAgree) {
  StepFixture fixture(folder_ / "model", config(expected_.at("hyperparameters").at("lr")));
  auto data = batch(fixture.config().rollout.group_size);
  set_advantages(data, fixture.config().algorithm.advantage);
  const auto advantages = tensor("advantages");
  for (size_t i = 0; i < data.rollouts.size(); ++i) {
    EXPECT_NEAR(data.rollouts[i].advantage, advantages[static_cast<int64_t>(i)].item<double>(), 2e-5);
  }
  auto context = fixture.context();
  const auto stats = accumulate_gradient(context, data, all_rollouts(data));
  const auto& step = expected_.at("step");
  EXPECT_NEAR(stats.loss, step.at("loss").get<double>(), 1e-5);
  const auto gradients = fixture.take_gradients();
  for (const auto& [name, gradient] : gradients) {
    EXPECT_LE((gradient - tensor("grad." + name)).abs().max().item<double>(), 1e-5) << name;
    EXPECT_NEAR(gradient.norm().item<double>(), step.at("param_grad_norms").at(name).get<double>(), 1e-4) << name;
  }
  const auto update = update_policy(context, data, all_rollouts(data));
  EXPECT_NEAR(update.grad_norm, step.at("grad_norm_before_clip").get<double>(), 1e-4);
  expect_weights(fixture, "after1.", 1e-5);
}

TEST_F(GoldenStep, FourUpdatesOnOneBatchAgree) {
  StepFixture fixture(folder_ / "model", config(expected_.at("trace_lr")));
  auto data = batch(fixture.config().rollout.group_size);
  set_advantages(data, fixture.config().algorithm.advantage);
  auto context = fixture.context();
  for (const auto& step : expected_.at("trace")) {
    const auto update = update_policy(context, data, all_rollouts(data));
    EXPECT_NEAR(update.loss, step.at("loss").get<double>(), 1e-5);
    EXPECT_NEAR(update.grad_norm, step.at("grad_norm_before_clip").get<double>(), 1e-4);
  }
  expect_weights(fixture, "trace_after4.", 1e-5);
}

// Two ranks share the rollouts, as two processes do; with zero3 the weights are freed between the passes.
class GoldenStepOnRanks : public GoldenStep, public ::testing::WithParamInterface<optim::StateSharding> {};
INSTANTIATE_TEST_SUITE_P(EverySharding, GoldenStepOnRanks,
                         ::testing::Values(optim::StateSharding::kNone, optim::StateSharding::kOptimizer, optim::StateSharding::kGradients,
                                           optim::StateSharding::kWeights));

TEST_P(GoldenStepOnRanks, FourUpdatesOnOneBatchAgree) {
  dist::run_ranks(2, [&](dist::Communicator& communicator) {
    const StepFixture::OnRanks ranks{communicator, GetParam()};
    StepFixture fixture(folder_ / "model", config(expected_.at("trace_lr")), ranks);
    auto data = batch(fixture.config().rollout.group_size);
    set_advantages(data, fixture.config().algorithm.advantage);
    auto context = fixture.context();
    context.optimizer.release_weights();
    for (const auto& step : expected_.at("trace")) {
      const auto update = update_policy(context, data, all_rollouts(data));
      EXPECT_NEAR(update.loss, step.at("loss").get<double>(), 1e-5);
      EXPECT_NEAR(update.grad_norm, step.at("grad_norm_before_clip").get<double>(), 1e-4);
    }
    context.optimizer.gather_weights();
    expect_weights(fixture, "trace_after4.", 1e-5);
  });
}

// In a lower dtype or on a device: the first update with eps 1 and rate 1 moves each master by -g / (|g| + 1), which tells g.
class GoldenStepElsewhere : public GoldenStep {
 protected:
  void expect_gradient(at::ScalarType dtype, at::Device device) const {
    auto config = this->config(1.0);
    config.optimizer.eps = 1.0;
    config.optimizer.weight_decay = 0.0;
    config.optimizer.clip_grad_norm = std::nullopt;
    StepFixture fixture(folder_ / "model", config, dtype, device);
    auto data = batch(config.rollout.group_size);
    set_advantages(data, config.algorithm.advantage);
    auto context = fixture.context();
    const auto before = masters(context.optimizer);
    const auto update = update_policy(context, data, all_rollouts(data));
    const bool fp32 = dtype == at::kFloat;
    EXPECT_NEAR(update.loss, expected_.at("step").at("loss").get<double>(), fp32 ? 1e-4 : 2e-2);
    const auto after = masters(context.optimizer);
    double products = 0.0, found = 0.0, wanted = 0.0;
    for (const auto& [name, master] : before) {
      const auto moved = after.at(name) - master;
      const auto gradient = moved.neg() / (1.0 - moved.abs()), golden = tensor("grad." + name).to(at::kDouble).view_as(moved);
      if (fp32) EXPECT_LE((gradient - golden).abs().max().item<double>(), 1e-4) << name;
      products += (gradient * golden).sum().item<double>();
      found += gradient.square().sum().item<double>();
      wanted += golden.square().sum().item<double>();
    }
    // bf16 keeps 8 bits of each activation and weight.
    EXPECT_GT(products / std::sqrt(found * wanted), fp32 ? 0.99999 : 0.995);
    EXPECT_NEAR(std::sqrt(found / wanted), 1.0, fp32 ? 1e-4 : 0.05);
  }

 private:
  static std::map<std::string, at::Tensor> masters(const optim::AdamW& optimizer) {
    std::map<std::string, at::Tensor> found;
    const std::string prefix = "master.";
    for (const auto& [name, tensor] : optimizer.state_tensors(/*masters=*/true)) {
      if (name.rfind(prefix, 0) == 0) found.emplace(name.substr(prefix.size()), tensor.detach().cpu().to(at::kDouble));
    }
    return found;
  }
};

TEST_F(GoldenStepElsewhere, GradientInBf16IsCloseToTheGoldenOne) { expect_gradient(at::kBFloat16, at::kCPU); }
TEST_F(GoldenStepElsewhere, GradientInFp32IsTheGoldenOne) { expect_gradient(at::kFloat, at::kCPU); }

class GpuStep : public GoldenStepElsewhere {
 protected:
  void SetUp() override {
    if (kernels::cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
    ASSERT_EQ(kernels::load_cuda(), "");
  }
};

TEST_F(GpuStep, GoldenGradientInFp32) { expect_gradient(at::kFloat, {at::kCUDA, 0}); }
TEST_F(GpuStep, GoldenGradientInBf16) { expect_gradient(at::kBFloat16, {at::kCUDA, 0}); }

// However many micro-batches: the host waits for the device as often. Counted in the trace of its runtime.
TEST_F(GpuStep, WaitsForTheDeviceAsOftenForManyMicroBatchesAsForOne) {
  const auto waits = [&](int64_t tokens) {
    auto config = this->config(1e-6);
    config.trainer.micro_batch_tokens = tokens;
    StepFixture fixture(folder_ / "model", config, at::kBFloat16, {at::kCUDA, 0});
    auto data = batch(config.rollout.group_size);
    set_advantages(data, config.algorithm.advantage);
    auto context = fixture.context();
    update_policy(context, data, all_rollouts(data));  // libraries are loaded, tables made
    const testing::TempDir dir;
    StepProfile profile(fixture.policy().model->device());
    update_policy(context, data, all_rollouts(data));
    profile.write(dir.path() / "trace.json");
    int64_t count = 0;
    for (const auto& event : nlohmann::json::parse(io::read_file(dir.path() / "trace.json")).at("traceEvents")) {
      const auto name = event.value("name", "");
      if (name == "cudaStreamSynchronize" || name == "cudaEventSynchronize" || name == "cudaDeviceSynchronize") ++count;
    }
    return count;
  };
  EXPECT_EQ(waits(8), waits(1 << 20));
}

}  // namespace
}  // namespace grpo::trainer
