// One GRPO update of a tiny model against TRL's numbers (tests/golden/README.md, "step").
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "grpo/io/safetensors.h"
#include "grpo/models/weights.h"
#include "support/golden.h"
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
    StepFixture fixture(folder_ / "model", config(expected_.at("trace_lr")), &ranks);
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

}  // namespace
}  // namespace grpo::trainer
