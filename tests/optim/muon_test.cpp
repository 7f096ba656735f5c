#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include <cmath>
#include <mutex>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/optim/optimizer.h"
#include "optim/layered_weights.h"
#include "optim/update_rule.h"
#include "support/golden.h"
#include "support/thread_ranks.h"

namespace grpo::optim {
namespace {

OptimizerConfig muon_config() {
  OptimizerConfig config;
  config.kind = OptimizerKind::kMuon;
  config.lr = 1e-2;
  config.weight_decay = 0.1;
  config.clip_grad_norm = std::nullopt;
  return config;
}

// A layer of two matrices in one piece of memory and a bias, with an embedding and a norm around it.
using Model = testing::LayeredWeights;

Model make_model(at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  at::manual_seed(3);
  Model model;
  model.add("embedding", at::randn({6, 4}).to(dtype), -1);
  const auto memory = at::randn({7 * 5 + 3 * 5}).to(dtype);
  model.add("tall", memory.narrow(0, 0, 35).view({7, 5}), 0);
  model.add("wide", memory.narrow(0, 35, 15).view({3, 5}), 0);
  model.add("bias", at::randn({7}).to(dtype), 0);
  model.add("norm", at::randn({4}).to(dtype), -1);
  return model;
}

Model copy_of(const Model& model) {
  const at::NoGradGuard no_grad;
  Model out = make_model(model.parameters[0].second.scalar_type());
  for (size_t i = 0; i < out.layers.size(); ++i) out.parameters[i].second.copy_(model.parameters[i].second);
  return out;
}

// What any thread knows without drawing.
at::Tensor gradient_for(const at::Tensor& like, int64_t step, size_t parameter) {
  auto out = at::empty(like.sizes());
  for (int64_t i = 0; i < out.numel(); ++i) {
    out.view(-1)[i] = std::sin(1.7 * static_cast<double>(i * i + 1) + 5.3 * static_cast<double>(step) +
                               11.3 * static_cast<double>(parameter));
  }
  return out.to(like.scalar_type());
}

void set_gradients(Model& model, int64_t step, double share = 1.0) {
  for (size_t i = 0; i < model.layers.size(); ++i) {
    at::Tensor& parameter = model.parameters[i].second;
    parameter.mutable_grad() = gradient_for(parameter, step, i) * share;
  }
}

// The formulas of the header in double, one product after the other.
at::Tensor reference_direction(const at::Tensor& update) {
  auto x = update.to(at::kDouble);
  x = x / std::sqrt(x.square().sum().item<double>());
  for (int step = 0; step < 5; ++step) {
    const auto once = x.matmul(x.t()).matmul(x);
    const auto twice = x.matmul(x.t()).matmul(once);
    x = 3.4445 * x - 4.775 * once + 2.0315 * twice;
  }
  return x * (0.2 * std::sqrt(static_cast<double>(std::max(update.size(0), update.size(1)))));
}

struct Reference {
  at::Tensor weight, momentum;
  void step(const at::Tensor& gradient, const OptimizerConfig& config) {
    const auto g = gradient.to(at::kDouble);
    momentum = config.momentum * momentum + g;
    weight = weight * (1.0 - config.lr * config.weight_decay) -
             config.lr * reference_direction(g + config.momentum * momentum);
  }
};

TEST(Muon, MatricesOfLayersFollowTheFormulas) {
  Model model = make_model(at::kFloat);
  const auto config = muon_config();
  std::vector<Reference> references;
  for (const size_t i : {1, 2}) {
    const auto weight = model.parameters[i].second.detach().to(at::kDouble).clone();
    references.push_back({weight, at::zeros_like(weight)});
  }
  Optimizer optimizer(model.parameters, config, {.layers = model.layers});
  for (int64_t step = 0; step < 4; ++step) {
    set_gradients(model, step);
    for (size_t r = 0; r < 2; ++r)
      references[r].step(gradient_for(model.parameters[r + 1].second, step, r + 1), config);
    ASSERT_TRUE(optimizer.step(20).applied);
    // A few hundred roundings of an fp32 product, in weights near 1 that moved by lr * 0.2 * sqrt(7) * 1.2 at most.
    for (size_t r = 0; r < 2; ++r)
      EXPECT_LT((model.parameters[r + 1].second.detach() - references[r].weight).abs().max().item<double>(), 2e-6)
          << step;
  }
}

TEST(Muon, LeavesTheRestToAdamW) {
  Model with_muon = make_model(at::kFloat), without = copy_of(with_muon);
  auto config = muon_config();
  Optimizer muon(with_muon.parameters, config, {.layers = with_muon.layers});
  config.kind = OptimizerKind::kAdamW;
  Optimizer adamw(without.parameters, config, {.layers = without.layers});
  for (int64_t step = 0; step < 3; ++step) {
    set_gradients(with_muon, step);
    set_gradients(without, step);
    muon.step(20);
    adamw.step(20);
  }
  for (const size_t i : {0, 3, 4}) EXPECT_TRUE(with_muon.parameters[i].second.equal(without.parameters[i].second)) << i;
  for (const size_t i : {1, 2}) EXPECT_FALSE(with_muon.parameters[i].second.equal(without.parameters[i].second)) << i;
}

at::Tensor tensor_of(const nlohmann::json& golden) {
  const auto data = golden.at("data").get<std::vector<double>>();
  return at::tensor(data, at::kDouble).view(golden.at("shape").get<std::vector<int64_t>>());
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b).abs().max().item<double>();
}

// Float64 numbers from singular value decompositions instead of products (make_muon_golden.py).
TEST(Muon, FollowsTheGoldenSteps) {
  const auto golden = testing::read_golden_json(testing::golden_section("muon") / "steps.json");
  auto config = muon_config();
  config.lr = golden.at("config").at("lr");
  config.momentum = golden.at("config").at("momentum");
  config.weight_decay = golden.at("config").at("weight_decay");
  for (const auto& [name, matrix] : golden.at("matrices").items()) {
    NamedTensors parameters{{name, tensor_of(matrix.at("weight")).to(at::kFloat).requires_grad_()}};
    Optimizer optimizer(parameters, config);
    for (size_t step = 0; step < matrix.at("gradients").size(); ++step) {
      parameters[0].second.mutable_grad() = tensor_of(matrix.at("gradients")[step]).to(at::kFloat);
      ASSERT_TRUE(optimizer.step(20).applied);
      EXPECT_LT(largest_difference(parameters[0].second.detach(), tensor_of(matrix.at("weights")[step])), 5e-6)
          << name << " " << step;
    }
    EXPECT_LT(largest_difference(optimizer.state_tensors(false)[0].second, tensor_of(matrix.at("momentum"))), 5e-6)
        << name;
  }
}

// Every singular value is near 1, whatever it was: that is what the coefficients are for.
TEST(Muon, DirectionIsNearlyOrthogonal) {
  at::manual_seed(7);
  const auto rule = make_muon(muon_config());
  for (const auto& matrix : {at::randn({8, 24}), at::randn({24, 8}), at::randn({16, 16})}) {
    const auto direction = rule->direction(matrix);
    ASSERT_EQ(direction.sizes(), matrix.sizes());
    const double larger = static_cast<double>(std::max(matrix.size(0), matrix.size(1)));
    const auto gram =
        matrix.size(0) <= matrix.size(1) ? direction.matmul(direction.t()) : direction.t().matmul(direction);
    const auto diagonal = gram.diagonal() / (0.04 * larger);
    EXPECT_GT(diagonal.min().item<double>(), 0.2);  // squares; the smallest values of a square matrix are lifted least
    EXPECT_LT(diagonal.max().item<double>(), 1.4);
  }
}

TEST(Muon, AZeroGradientMovesNothing) {
  Model model = make_model(at::kFloat);
  auto config = muon_config();
  config.weight_decay = 0.0;
  const Model before = copy_of(model);
  Optimizer optimizer(model.parameters, config, {.layers = model.layers});
  for (auto& [name, parameter] : model.parameters) parameter.mutable_grad() = at::zeros_like(parameter.detach());
  EXPECT_TRUE(optimizer.step(20).applied);
  for (size_t i = 0; i < model.layers.size(); ++i)
    EXPECT_TRUE(model.parameters[i].second.equal(before.parameters[i].second)) << i;
}

struct Split {
  StateSharding sharding;
  bool offload;
};

class MuonOnRanks : public ::testing::TestWithParam<Split> {};
INSTANTIATE_TEST_SUITE_P(Shardings, MuonOnRanks,
                         ::testing::Values(Split{StateSharding::kNone, false}, Split{StateSharding::kOptimizer, false},
                                           Split{StateSharding::kGradients, false},
                                           Split{StateSharding::kWeights, false},
                                           Split{StateSharding::kOptimizer, true}));

// Shards cut matrices anywhere; three ranks share one layer's memory of 50 elements.
TEST_P(MuonOnRanks, TakeTheStepsOfOne) {
  const Model start = make_model(at::kFloat);
  Model one = copy_of(start);
  Optimizer whole(one.parameters, muon_config(), {.layers = one.layers});
  for (int64_t step = 0; step < 3; ++step) {
    set_gradients(one, step);
    whole.step(20);
  }
  std::mutex making;
  dist::run_ranks(3, [&](dist::Communicator& communicator) {
    Model model = [&] {
      const std::lock_guard lock(making);
      return copy_of(start);
    }();
    Optimizer optimizer(model.parameters, muon_config(),
                        {.communicator = &communicator,
                         .sharding = GetParam().sharding,
                         .layers = model.layers,
                         .offload = GetParam().offload,
                         .offload_elements = 10});
    for (int64_t step = 0; step < 3; ++step) {
      set_gradients(model, step, 1.0 / 3.0);
      optimizer.accumulate();
      ASSERT_TRUE(optimizer.step(20).applied);
    }
    for (size_t i = 0; i < model.layers.size(); ++i) {
      EXPECT_LT((model.parameters[i].second.detach() - one.parameters[i].second.detach()).abs().max().item<double>(),
                1e-5)
          << model.parameters[i].first;
    }
  });
}

TEST(Muon, GoesOnFromItsState) {
  Model straight = make_model(at::kBFloat16), resumed = copy_of(straight);
  Optimizer one(straight.parameters, muon_config(), {.layers = straight.layers});
  for (int64_t step = 0; step < 2; ++step) {
    set_gradients(straight, step);
    one.step(20);
  }
  Optimizer other(resumed.parameters, muon_config(), {.layers = resumed.layers});
  const auto saved = one.state_tensors(true);
  other.read_state(
      [&saved](const std::string& name, at::IntArrayRef, int64_t, at::Tensor& target) {
        for (const auto& [key, tensor] : saved) {
          if (key == name) target.copy_(tensor.reshape({-1}));
        }
      },
      true);
  other.restore(2, 0);
  set_gradients(straight, 2);
  set_gradients(resumed, 2);
  one.step(20);
  other.step(20);
  for (size_t i = 0; i < straight.layers.size(); ++i)
    EXPECT_TRUE(straight.parameters[i].second.equal(resumed.parameters[i].second)) << i;
}

TEST(Muon, MomentumIsItsKeyAlone) {
  OptimizerConfig config;
  config.momentum = 0.9;
  EXPECT_THROW(validate(config), base::ConfigError);
  config.kind = OptimizerKind::kMuon;
  EXPECT_NO_THROW(validate(config));
  config.momentum = 1.0;
  EXPECT_THROW(validate(config), base::ConfigError);
}

}  // namespace
}  // namespace grpo::optim
