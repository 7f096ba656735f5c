// One GRPO update of a tiny model against TRL's numbers (tests/golden/README.md, "step").
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "grpo/io/file.h"
#include "grpo/io/safetensors.h"
#include "grpo/kernels/cuda.h"
#include "grpo/models/weights.h"
#include "grpo/update/profile.h"
#include "support/golden.h"
#include "support/on_host_device.h"
#include "support/thread_ranks.h"
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
    config.rollout.sampling.temperature = h.at("temperature");
    config.rollout.group_size = h.at("num_generations");
    config.algorithm.advantage.std = algo::Std::kSample;
    config.algorithm.advantage.std_eps = 1e-4;
    config.algorithm.policy.clip_low = h.at("epsilon");
    config.algorithm.policy.clip_high = h.at("epsilon_high");
    config.algorithm.kl.coef = h.at("beta");
    config.algorithm.old_logprobs = OldLogProbs::kSampler;
    config.optimizer.lr = lr;
    config.optimizer.warmup_updates = 0;
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
        batch.prompts.push_back({.row = row / group_size,
                                 .id = "",
                                 .text = "",
                                 .gold = "",
                                 .ids = to_vector<int64_t>(prompt_ids[row].masked_select(prompt_mask[row]))});
      }
      Rollout rollout;
      rollout.prompt = batch.prompts.size() - 1;
      rollout.sample = row % group_size;
      rollout.completion.ids = to_vector<int64_t>(ids[row].masked_select(mask[row]));
      rollout.completion.log_probs = to_vector<float>(old[row].masked_select(mask[row]));
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
  const auto stats = fixture.accumulate(data);
  const auto& step = expected_.at("step");
  EXPECT_NEAR(stats.figure("loss"), step.at("loss").get<double>(), 1e-5);
  const auto gradients = fixture.take_gradients();
  for (const auto& [name, gradient] : gradients) {
    EXPECT_LE((gradient - tensor("grad." + name)).abs().max().item<double>(), 1e-5) << name;
    EXPECT_NEAR(gradient.norm().item<double>(), step.at("param_grad_norms").at(name).get<double>(), 1e-4) << name;
  }
  const auto update = fixture.update(data);
  EXPECT_NEAR(update.grad_norm, step.at("grad_norm_before_clip").get<double>(), 1e-4);
  expect_weights(fixture, "after1.", 1e-5);
}

TEST_F(GoldenStep, FourUpdatesOnOneBatchAgree) {
  StepFixture fixture(folder_ / "model", config(expected_.at("trace_lr")));
  auto data = batch(fixture.config().rollout.group_size);
  set_advantages(data, fixture.config().algorithm.advantage);
  for (const auto& step : expected_.at("trace")) {
    const auto update = fixture.update(data);
    EXPECT_NEAR(update.figure("loss"), step.at("loss").get<double>(), 1e-5);
    EXPECT_NEAR(update.grad_norm, step.at("grad_norm_before_clip").get<double>(), 1e-4);
  }
  expect_weights(fixture, "trace_after4.", 1e-5);
}

// Two ranks share the rollouts, as two processes would. With zero3 weights are freed between passes.
class GoldenStepOnRanks : public GoldenStep, public ::testing::WithParamInterface<optim::StateSharding> {};
INSTANTIATE_TEST_SUITE_P(EverySharding, GoldenStepOnRanks,
                         ::testing::Values(optim::StateSharding::kNone, optim::StateSharding::kOptimizer,
                                           optim::StateSharding::kGradients, optim::StateSharding::kWeights));

TEST_P(GoldenStepOnRanks, FourUpdatesOnOneBatchAgree) {
  dist::run_ranks(2, [&](dist::Communicator& communicator) {
    const StepFixture::OnRanks ranks{communicator, GetParam()};
    StepFixture fixture(folder_ / "model", config(expected_.at("trace_lr")), ranks);
    auto data = batch(fixture.config().rollout.group_size);
    set_advantages(data, fixture.config().algorithm.advantage);
    auto& optimizer = fixture.context().learner.optimizer;
    optimizer.release_weights();
    for (const auto& step : expected_.at("trace")) {
      const auto update = fixture.update(data);
      EXPECT_NEAR(update.figure("loss"), step.at("loss").get<double>(), 1e-5);
      EXPECT_NEAR(update.grad_norm, step.at("grad_norm_before_clip").get<double>(), 1e-4);
    }
    optimizer.gather_weights();
    expect_weights(fixture, "trace_after4.", 1e-5);
  });
}

// In a lower dtype or on a device. With eps 1 and learning rate 1 the first update moves each master by -g / (|g| + 1),
// from which the gradient g follows.
class GoldenStepElsewhere : public GoldenStep {
 protected:
  using Gradients = std::map<std::string, at::Tensor>;

  void expect_golden_gradient(at::Device device) const {
    Gradients wanted;
    const auto config = telling_config();
    const auto found = gradient(config, batch(config.rollout.group_size), at::kFloat, device,
                                expected_.at("step").at("loss").get<double>(), 1e-4);
    for (const auto& [name, value] : found) {
      wanted[name] = tensor("grad." + name).to(at::kDouble).view_as(value);
      EXPECT_LE((value - wanted[name]).abs().max().item<double>(), 1e-4) << name;
    }
    expect_close(found, wanted, 0.99999, 1e-4);
  }

  // bf16 keeps 8 bits of each activation and weight, so log-probs differ by about 0.016 on average. A token whose ratio
  // is that near to a clip bound may be clipped in one dtype and not in the other, which makes a difference of its
  // whole gradient but is no error. So such tokens are moved away from the bound, and the gradient to compare with is
  // computed in fp32 (which is tested against the golden one above) on the same batch.
  void expect_gradient_of_fp32(at::Device device) const {
    const auto config = telling_config();
    auto data = batch(config.rollout.group_size);
    EXPECT_LE(move_off_the_bounds(data, config), expected_.at("num_tokens").get<int64_t>() / 2)
        << "most tokens are near a bound";
    StepFixture exact(folder_ / "model", config);
    auto same = data;
    set_advantages(same, config.algorithm.advantage);
    const double loss = exact.accumulate(same).figure("loss");
    Gradients wanted;
    for (const auto& [name, value] : exact.take_gradients()) wanted[name] = value.to(at::kDouble);
    expect_close(gradient(config, data, at::kBFloat16, device, loss, 2e-2), wanted, 0.995, 0.05);
  }

 private:
  TrainConfig telling_config() const {
    auto config = this->config(1.0);
    config.optimizer.eps = 1.0;
    config.optimizer.weight_decay = 0.0;
    config.optimizer.clip_grad_norm = std::nullopt;
    return config;
  }

  Gradients gradient(const TrainConfig& config, RolloutBatch data, at::ScalarType dtype, at::Device device, double loss,
                     double tolerance) const {
    StepFixture fixture(folder_ / "model", config, dtype, device);
    set_advantages(data, config.algorithm.advantage);
    const auto& optimizer = fixture.context().learner.optimizer;
    const auto before = masters(optimizer);
    EXPECT_NEAR(fixture.update(data).figure("loss"), loss, tolerance);
    Gradients found;
    for (const auto& [name, after] : masters(optimizer)) {
      const auto moved = after - before.at(name);
      found[name] = moved.neg() / (1.0 - moved.abs());
    }
    return found;
  }

  // Moves tokens whose log-ratio is nearer than 0.1 to a clip bound to that distance, on the side where they are.
  // Returns how many it has moved.
  int64_t move_off_the_bounds(RolloutBatch& data, const TrainConfig& config) const {
    constexpr double kFar = 0.1;
    const auto log_probs = tensor("logprobs"), mask = tensor("completion_mask").to(at::kBool);
    const auto& policy = config.algorithm.policy;
    int64_t moved = 0;
    for (size_t row = 0; row < data.rollouts.size(); ++row) {
      const auto now =
          to_vector<float>(log_probs[static_cast<int64_t>(row)].masked_select(mask[static_cast<int64_t>(row)]));
      auto& old = data.rollouts[row].completion.log_probs;
      for (size_t t = 0; t < old.size(); ++t) {
        for (const double bound : {std::log(1.0 - policy.clip_low), std::log(1.0 + policy.clip_high)}) {
          const double distance = static_cast<double>(now[t]) - static_cast<double>(old[t]) - bound;
          if (std::abs(distance) >= kFar) continue;
          old[t] = static_cast<float>(static_cast<double>(now[t]) - bound - std::copysign(kFar, distance));
          ++moved;
        }
      }
    }
    return moved;
  }

  static void expect_close(const Gradients& found, const Gradients& wanted, double cosine, double norm_tolerance) {
    double products = 0.0, found_squares = 0.0, wanted_squares = 0.0;
    for (const auto& [name, value] : found) {
      const auto other = wanted.at(name).view_as(value);
      products += (value * other).sum().item<double>();
      found_squares += value.square().sum().item<double>();
      wanted_squares += other.square().sum().item<double>();
    }
    EXPECT_GT(products / std::sqrt(found_squares * wanted_squares), cosine);
    EXPECT_NEAR(std::sqrt(found_squares / wanted_squares), 1.0, norm_tolerance);
  }

  static Gradients masters(const optim::Optimizer& optimizer) {
    Gradients found;
    const std::string prefix = "master.";
    for (const auto& [name, tensor] : optimizer.state_tensors(/*masters=*/true)) {
      if (name.rfind(prefix, 0) == 0)
        found.emplace(name.substr(prefix.size()), tensor.detach().cpu().to(at::kDouble).clone());
    }
    return found;
  }
};

TEST_F(GoldenStepElsewhere, GradientInFp32IsTheGoldenOne) { expect_golden_gradient(at::kCPU); }
TEST_F(GoldenStepElsewhere, GradientInBf16IsCloseToTheGoldenOne) { expect_gradient_of_fp32(at::kCPU); }

class GpuStep : public GoldenStepElsewhere {
 protected:
  void SetUp() override {
    if (kernels::cuda_device_count() == 0) GTEST_SKIP() << "no CUDA device";
    ASSERT_EQ(kernels::load_cuda(), "");
  }
};

TEST_F(GpuStep, GoldenGradientInFp32) { expect_golden_gradient({at::kCUDA, 0}); }
TEST_F(GpuStep, GoldenGradientInBf16) { expect_gradient_of_fp32({at::kCUDA, 0}); }

// The waits of the host for the device are counted in the trace of CUDA's runtime.
TEST_F(GpuStep, WaitsForTheDeviceAsOftenForManyMicroBatchesAsForOne) {
  if (testing::on_host_device()) GTEST_SKIP() << "no trace; tests/device/update_test.cpp counts the calls themselves";
  const auto waits = [&](int64_t tokens) {
    auto config = this->config(1e-6);
    config.trainer.micro_batch_tokens = tokens;
    StepFixture fixture(folder_ / "model", config, at::kBFloat16, {at::kCUDA, 0});
    auto data = batch(config.rollout.group_size);
    set_advantages(data, config.algorithm.advantage);
    fixture.update(data);  // the first update also loads libraries and makes tables
    const testing::TempDir dir;
    update::StepProfile profile(fixture.policy().model->device());
    fixture.update(data);
    profile.write(dir.path() / "trace.json");
    int64_t count = 0;
    const auto trace = nlohmann::json::parse(io::read_file(dir.path() / "trace.json"));
    for (const auto& event : trace.at("traceEvents")) {
      const auto name = event.value("name", "");
      if (name == "cudaStreamSynchronize" || name == "cudaEventSynchronize" || name == "cudaDeviceSynchronize") ++count;
    }
    return count;
  };
  const auto one = waits(1 << 20);
  EXPECT_GE(one, 1) << "the trace knows nothing of the runtime";
  EXPECT_EQ(waits(8), one);
}

}  // namespace
}  // namespace grpo::trainer
