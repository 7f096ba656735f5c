#include "grpo/optim/optimizer.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "grpo/base/error.h"
#include "optim/layered_weights.h"
#include "support/thread_ranks.h"

namespace grpo::optim {
namespace {

// Two parameters, a matrix and a bias, with weights and gradients from a fixed seed.
NamedTensors make_parameters(at::ScalarType dtype) {
  at::manual_seed(5);
  NamedTensors parameters;
  parameters.emplace_back("w.weight", at::randn({7, 5}).to(dtype).requires_grad_());
  parameters.emplace_back("w.bias", at::randn({7}).to(dtype).requires_grad_());
  return parameters;
}

at::Tensor gradient_of(const at::Tensor& parameter, int64_t step) {
  at::manual_seed(static_cast<uint64_t>(100 + step));
  return at::randn(parameter.sizes()).to(parameter.scalar_type());
}

void set_gradients(NamedTensors& parameters, int64_t step) {
  for (auto& [name, parameter] : parameters) parameter.mutable_grad() = gradient_of(parameter, step);
}

OptimizerConfig test_config() {
  OptimizerConfig config;
  config.lr = 1e-2;
  config.warmup_updates = 2;
  config.schedule = Schedule::kCosine;
  config.weight_decay = 0.1;
  return config;
}

void take_steps(Optimizer& optimizer, NamedTensors& parameters, int64_t first, int64_t last) {
  for (int64_t step = first; step < last; ++step) {
    set_gradients(parameters, step);
    optimizer.accumulate();
    EXPECT_TRUE(optimizer.step(20).applied);
  }
}

bool same(const NamedTensors& a, const NamedTensors& b) {
  bool equal = a.size() == b.size();
  for (size_t i = 0; equal && i < a.size(); ++i) equal = a[i].first == b[i].first && a[i].second.equal(b[i].second);
  return equal;
}

class EveryDtype : public ::testing::TestWithParam<at::ScalarType> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, EveryDtype, ::testing::Values(at::kFloat, at::kBFloat16));

// One update in double by the formulas of the header.
TEST_P(EveryDtype, FirstUpdateFollowsTheFormulas) {
  auto parameters = make_parameters(GetParam());
  OptimizerConfig config = test_config();
  config.warmup_updates = 0;
  config.clip_grad_norm = 0.5;
  const auto before = make_parameters(GetParam());
  Optimizer optimizer(parameters, config);
  set_gradients(parameters, 0);
  double squares = 0.0;
  for (const auto& [name, p] : parameters) squares += p.grad().to(at::kDouble).square().sum().item<double>();
  const auto result = optimizer.step(20);
  EXPECT_NEAR(result.grad_norm, std::sqrt(squares), 1e-5);
  const double scale = 0.5 / (std::sqrt(squares) + 1e-6);
  const auto state = optimizer.state_tensors(true);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto g = gradient_of(before[i].second, 0).to(at::kDouble) * scale;
    const auto w = before[i].second.detach().to(at::kDouble);
    const double decay = i == 0 ? 1.0 - config.lr * config.weight_decay : 1.0;
    const auto expected = w * decay - config.lr * g / (g.abs() + config.eps);
    EXPECT_LE((state[3 * i].second - 0.1 * g).abs().max().item<double>(), 1e-7);
    EXPECT_LE((state[3 * i + 1].second - 0.001 * g * g).abs().max().item<double>(), 1e-7);
    EXPECT_LE((state[3 * i + 2].second - expected).abs().max().item<double>(), 1e-6);
    EXPECT_TRUE(parameters[i].second.detach().equal(state[3 * i + 2].second.to(GetParam())));
  }
}

TEST_P(EveryDtype, GradientsOfMicroBatchesAddUpInFloat) {
  auto whole = make_parameters(GetParam()), parts = make_parameters(GetParam());
  Optimizer one(whole, test_config()), many(parts, test_config());
  for (int64_t step = 0; step < 3; ++step) {
    for (auto& [name, p] : whole) p.mutable_grad() = at::full_like(p.detach(), 3.0);
    for (int64_t micro = 0; micro < 3; ++micro) {
      for (auto& [name, p] : parts) {  // as backward() does: adds to what is there
        const auto g = at::ones_like(p.detach());
        p.mutable_grad() = p.grad().defined() ? p.grad() + g : g;
      }
      many.accumulate();
    }
    one.accumulate();
    EXPECT_EQ(one.step(20).grad_norm, many.step(20).grad_norm);
  }
  EXPECT_TRUE(same(one.state_tensors(true), many.state_tensors(true)));
}

// 256 + 1 is 256 in bfloat16; the sum of micro-batches must not lose the 1.
TEST(AdamW, AccumulatesBfloat16GradientsInFloat) {
  NamedTensors parameters{{"w", at::zeros({1}, at::kBFloat16).requires_grad_()}};
  Optimizer optimizer(parameters, {});
  for (const double value : {256.0, 1.0}) {
    parameters[0].second.mutable_grad() = at::full({1}, value, at::kBFloat16);
    optimizer.accumulate();
  }
  EXPECT_EQ(optimizer.step(1).grad_norm, 257.0);
}

// Updates below bfloat16's resolution must add up in the master.
TEST(AdamW, MasterKeepsUpdatesThatBfloat16CannotShow) {
  NamedTensors parameters{{"w", at::ones({1}, at::kBFloat16).requires_grad_()}};
  Optimizer optimizer(parameters, {.lr = 1e-4, .weight_decay = 0.0});
  for (int64_t step = 0; step < 100; ++step) {
    parameters[0].second.mutable_grad() = at::ones({1}, at::kBFloat16);
    optimizer.step(100);
  }
  EXPECT_NEAR(parameters[0].second.item<double>(), 0.99, 2e-3);
}

TEST_P(EveryDtype, RestoredStateContinuesBitForBit) {
  auto straight = make_parameters(GetParam());
  Optimizer uninterrupted(straight, test_config());
  take_steps(uninterrupted, straight, 0, 4);
  NamedTensors saved;
  for (const auto& [name, tensor] : uninterrupted.state_tensors(true))
    saved.emplace_back(name, tensor.detach().clone());
  const int64_t updates = uninterrupted.updates();
  take_steps(uninterrupted, straight, 4, 9);

  auto fresh = make_parameters(GetParam());
  for (auto& [name, parameter] : fresh) parameter.detach().zero_();
  Optimizer resumed(fresh, test_config());
  auto targets = resumed.state_tensors(true);
  ASSERT_EQ(targets.size(), saved.size());
  for (size_t i = 0; i < targets.size(); ++i) {
    EXPECT_EQ(targets[i].first, saved[i].first);
    const at::NoGradGuard no_grad;
    targets[i].second.copy_(saved[i].second);
  }
  resumed.restore(updates, 0);
  take_steps(resumed, fresh, 4, 9);
  EXPECT_TRUE(same(uninterrupted.state_tensors(true), resumed.state_tensors(true)));
  for (size_t i = 0; i < fresh.size(); ++i) EXPECT_TRUE(straight[i].second.equal(fresh[i].second));
  EXPECT_EQ(uninterrupted.updates(), resumed.updates());
}

TEST_P(EveryDtype, SkipsANonFiniteGradientAndChangesNothingElse) {
  auto parameters = make_parameters(GetParam());
  Optimizer optimizer(parameters, test_config());
  take_steps(optimizer, parameters, 0, 3);
  NamedTensors before;
  for (const auto& [name, tensor] : optimizer.state_tensors(true)) before.emplace_back(name, tensor.detach().clone());
  for (int64_t skip = 1; skip <= 2; ++skip) {
    set_gradients(parameters, 3);
    parameters[1].second.mutable_grad()[2] = std::numeric_limits<double>::quiet_NaN();
    const auto result = optimizer.step(20);
    EXPECT_FALSE(result.applied);
    EXPECT_FALSE(std::isfinite(result.grad_norm));
    EXPECT_EQ(optimizer.consecutive_skips(), skip);
    EXPECT_EQ(optimizer.updates(), 3);
    EXPECT_TRUE(same(before, optimizer.state_tensors(true)));
  }
  take_steps(optimizer, parameters, 3, 4);  // nothing of the skipped gradients is left
  EXPECT_EQ(optimizer.consecutive_skips(), 0);
  EXPECT_EQ(optimizer.updates(), 4);
}

TEST(AdamW, FirstUpdateOfAWarmUpMovesTheMomentsButNotTheWeights) {
  auto parameters = make_parameters(at::kFloat);
  Optimizer optimizer(parameters, test_config());
  set_gradients(parameters, 0);
  const auto result = optimizer.step(20);
  EXPECT_TRUE(result.applied);
  EXPECT_EQ(result.lr, 0.0);
  EXPECT_TRUE(parameters[0].second.equal(make_parameters(at::kFloat)[0].second));
  EXPECT_GT(optimizer.state_tensors(false)[0].second.abs().max().item<double>(), 0.0);
}

// With gradient 0 only decay moves a weight.
TEST(AdamW, DecaysMatricesOnlyUnlessToldOtherwise) {
  const auto moved = [](OptimizerConfig config, OptimizerOptions options) {
    auto parameters = make_parameters(at::kFloat);
    config.warmup_updates = 0;
    Optimizer optimizer(parameters, config, std::move(options));
    optimizer.step(20);
    const auto before = make_parameters(at::kFloat);
    return std::pair(!parameters[0].second.equal(before[0].second), !parameters[1].second.equal(before[1].second));
  };
  OptimizerConfig config = test_config();
  EXPECT_EQ(moved(config, {}), std::pair(true, false));
  config.decay_norms_and_biases = true;
  EXPECT_EQ(moved(config, {}), std::pair(true, true));
  EXPECT_EQ(moved(config, {.decays = [](const std::string& name, const at::Tensor&) { return name == "w.bias"; }}),
            std::pair(false, true));
}

TEST(AdamW, ClippingIsOffAtZeroAndAtNull) {
  for (const std::optional<double>& off : {std::optional<double>(0.0), std::optional<double>()}) {
    NamedTensors parameters{{"w", at::zeros({1}).requires_grad_()}};
    Optimizer optimizer(parameters, {.clip_grad_norm = off});
    parameters[0].second.mutable_grad() = at::full({1}, 100.0f);
    optimizer.step(1);
    EXPECT_NEAR(optimizer.state_tensors(false)[0].second.item<double>(), 10.0, 1e-5);
  }
}

TEST(AdamW, MastersOfFloatParametersAreTheParameters) {
  auto parameters = make_parameters(at::kFloat);
  Optimizer optimizer(parameters, {});
  const auto state = optimizer.state_tensors(true);
  ASSERT_EQ(state.size(), 6u);
  EXPECT_EQ(state[0].first, "exp_avg.w.weight");
  EXPECT_EQ(state[1].first, "exp_avg_sq.w.weight");
  EXPECT_EQ(state[2].first, "master.w.weight");
  EXPECT_EQ(state[2].second.const_data_ptr(), parameters[0].second.const_data_ptr());
  EXPECT_EQ(optimizer.state_tensors(false).size(), 4u);
}

TEST(AdamW, DropsWhatWasAccumulatedWhenAsked) {
  auto parameters = make_parameters(at::kBFloat16);
  Optimizer optimizer(parameters, test_config());
  set_gradients(parameters, 0);
  optimizer.accumulate();
  set_gradients(parameters, 0);
  optimizer.zero_grad();
  EXPECT_EQ(optimizer.step(20).grad_norm, 0.0);
}

TEST(AdamW, RejectsParametersItCannotUpdateInPlace) {
  EXPECT_THROW(Optimizer({{"w", at::zeros({2, 3}).t().requires_grad_()}}, {}), std::logic_error);
  EXPECT_THROW(Optimizer({{"w", at::zeros({2}).requires_grad_() * 2}}, {}), std::logic_error);
  EXPECT_THROW(Optimizer({}, {.betas = {}}), base::ConfigError);
}

// Each rank holds a part of the gradient; one has none of the second parameter, and in the last step one has a NaN.
TEST_P(EveryDtype, RanksTakeTheStepOfTheSummedGradient) {
  auto reference = make_parameters(GetParam());
  Optimizer one(reference, test_config());
  for (int64_t step = 0; step < 3; ++step) {
    for (auto& [name, p] : reference) p.mutable_grad() = at::full_like(p.detach(), name == "w.bias" ? 2.0 : 3.0);
    one.step(20);
  }
  dist::run_ranks(2, [&](dist::Communicator& communicator) {
    NamedTensors parameters;
    for (const auto& [name, p] : make_parameters(GetParam()))
      parameters.emplace_back(name, p.detach().clone().requires_grad_());
    if (communicator.rank() == 1) {  // at::manual_seed is shared by the threads: take rank 0's weights
      for (auto& [name, p] : parameters) p.detach().zero_();
    }
    for (auto& [name, p] : parameters) {
      auto values = p.detach();
      communicator.broadcast(values, 0);
    }
    Optimizer optimizer(parameters, test_config(), {.communicator = &communicator});
    for (int64_t step = 0; step < 3; ++step) {
      const double share = communicator.rank() == 0 ? 1.0 : 2.0;
      parameters[0].second.mutable_grad() = at::full_like(parameters[0].second.detach(), share);
      if (communicator.rank() == 1)
        parameters[1].second.mutable_grad() = at::full_like(parameters[1].second.detach(), 2.0);
      EXPECT_TRUE(optimizer.step(20).applied);
    }
    EXPECT_TRUE(same(optimizer.state_tensors(false), one.state_tensors(false)));
    if (communicator.rank() == 0) {
      parameters[0].second.mutable_grad() =
          at::full_like(parameters[0].second.detach(), std::numeric_limits<double>::infinity());
    }
    EXPECT_FALSE(optimizer.step(20).applied);
    EXPECT_EQ(optimizer.consecutive_skips(), 1);
  });
}

// ---- split state ----

// As where all but a small parameter are frozen.
TEST(SplitStateOfOneElement, IsUpdatedThoughARankOwnsNoneOfIt) {
  for (const auto sharding : {StateSharding::kOptimizer, StateSharding::kGradients, StateSharding::kWeights}) {
    dist::run_ranks(2, [&](dist::Communicator& communicator) {
      NamedTensors parameters = {{"w", at::ones({1}).requires_grad_()}};
      auto& w = parameters[0].second;
      Optimizer optimizer(parameters, {.lr = 0.1, .weight_decay = 0.0, .clip_grad_norm = 1.0},
                          {.communicator = &communicator, .sharding = sharding, .layers = {0}});
      w.mutable_grad() = at::full_like(w.detach(), 3.0);
      optimizer.accumulate();
      EXPECT_TRUE(optimizer.step(1, /*gradient_scale=*/0.5).applied);
      EXPECT_NEAR(w.item<float>(), 0.9f, 1e-5f);
    });
  }
}

struct Split {
  at::ScalarType dtype;
  StateSharding sharding;
  int64_t ranks;
};

class SplitState : public ::testing::TestWithParam<Split> {};
INSTANTIATE_TEST_SUITE_P(
    All, SplitState,
    ::testing::Values(Split{at::kFloat, StateSharding::kOptimizer, 2}, Split{at::kFloat, StateSharding::kGradients, 3},
                      Split{at::kBFloat16, StateSharding::kOptimizer, 3},
                      Split{at::kBFloat16, StateSharding::kGradients, 2}, Split{at::kFloat, StateSharding::kNone, 4},
                      Split{at::kFloat, StateSharding::kWeights, 3}, Split{at::kBFloat16, StateSharding::kWeights, 2}));

NamedTensors copies(const NamedTensors& parameters) {
  NamedTensors out;
  for (const auto& [name, p] : parameters) out.emplace_back(name, p.detach().clone().requires_grad_());
  return out;
}

// The ranks' gradients of one step: they add up to `step`'s gradient of the single process, in two backward passes.
void take_split_step(Optimizer& optimizer, NamedTensors& parameters, const std::vector<at::Tensor>& total,
                     const dist::Communicator& communicator) {
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      // The last rank has nothing in the second pass, as one whose micro-batches have run out.
      const bool idle = pass == 1 && communicator.rank() == communicator.size() - 1 && communicator.size() > 1;
      const auto parts = static_cast<double>(2 * communicator.size() - (communicator.size() > 1 ? 1 : 0));
      if (!idle) parameters[i].second.mutable_grad() = total[i] / parts;
    }
    optimizer.accumulate();
  }
  EXPECT_TRUE(optimizer.step(20).applied);
}

std::vector<std::vector<at::Tensor>> step_gradients(const NamedTensors& parameters, int64_t steps) {
  std::vector<std::vector<at::Tensor>> all;
  for (int64_t step = 0; step < steps; ++step) {
    auto& gradients = all.emplace_back();
    for (const auto& [name, p] : parameters) gradients.push_back(gradient_of(p, step));
  }
  return all;
}

OptimizerOptions split_options(const Split& split, dist::Communicator& communicator) {
  return {.decays = {}, .communicator = &communicator, .sharding = split.sharding};
}

TEST_P(SplitState, TakesTheStepsOfOneProcess) {
  const auto start = make_parameters(GetParam().dtype);
  const auto gradients = step_gradients(start, 4);
  auto whole = copies(start);
  Optimizer one(whole, test_config());
  for (const auto& gradient : gradients) {
    for (size_t i = 0; i < whole.size(); ++i) whole[i].second.mutable_grad() = gradient[i].clone();
    one.step(20);
  }
  dist::run_ranks(GetParam().ranks, [&](dist::Communicator& communicator) {
    auto parameters = copies(start);
    Optimizer optimizer(parameters, test_config(), split_options(GetParam(), communicator));
    for (const auto& gradient : gradients) take_split_step(optimizer, parameters, gradient, communicator);
    const double tolerance = GetParam().dtype == at::kFloat ? 1e-5 : 2e-2;
    for (size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_LT((parameters[i].second.detach() - whole[i].second.detach()).abs().max().item<double>(), tolerance)
          << parameters[i].first;
    }
  });
}

// Pieces of any number of ranks, as a checkpoint holds them.
Optimizer::ReadState reader_of(const std::vector<NamedTensors>& saved) {
  return [&saved](const std::string& name, at::IntArrayRef, int64_t begin, at::Tensor& target) {
    for (const auto& rank : saved) {
      for (const auto& [key, tensor] : rank) {
        const size_t colon = key.rfind(':');
        if (key.substr(0, colon) != name) continue;
        const int64_t first = colon == std::string::npos ? 0 : std::stoll(key.substr(colon + 1));
        const auto flat = tensor.reshape({-1});
        for (int64_t i = 0; i < flat.numel(); ++i) {
          const int64_t at = first + i - begin;
          if (at >= 0 && at < target.numel()) target[at] = flat[i];
        }
      }
    }
  };
}

TEST_P(SplitState, GoesOnWithAnotherNumberOfRanks) {
  const auto start = make_parameters(GetParam().dtype);
  const auto gradients = step_gradients(start, 4);
  std::vector<NamedTensors> saved(static_cast<size_t>(GetParam().ranks));
  NamedTensors weights;
  NamedTensors expected;
  const bool masters = GetParam().dtype != at::kFloat;
  dist::run_ranks(GetParam().ranks, [&](dist::Communicator& communicator) {
    auto parameters = copies(start);
    Optimizer optimizer(parameters, test_config(), split_options(GetParam(), communicator));
    for (size_t step = 0; step < 2; ++step) take_split_step(optimizer, parameters, gradients[step], communicator);
    for (const auto& [name, tensor] : optimizer.state_tensors(masters)) {
      saved[static_cast<size_t>(communicator.rank())].emplace_back(name, tensor.clone());
    }
    if (communicator.rank() == 0) weights = copies(parameters);
    for (size_t step = 2; step < 4; ++step) take_split_step(optimizer, parameters, gradients[step], communicator);
    if (communicator.rank() == 0) expected = copies(parameters);
  });
  dist::run_ranks(2, [&](dist::Communicator& communicator) {
    auto parameters = copies(weights);
    Optimizer optimizer(parameters, test_config(),
                        split_options({GetParam().dtype, StateSharding::kOptimizer, 2}, communicator));
    optimizer.read_state(reader_of(saved), masters);
    optimizer.restore(2, 0);
    for (size_t i = 0; i < parameters.size(); ++i) EXPECT_TRUE(parameters[i].second.equal(weights[i].second));
    for (size_t step = 2; step < 4; ++step) take_split_step(optimizer, parameters, gradients[step], communicator);
    const double tolerance = GetParam().dtype == at::kFloat ? 1e-5 : 2e-2;
    for (size_t i = 0; i < parameters.size(); ++i) {
      EXPECT_LT((parameters[i].second.detach() - expected[i].second.detach()).abs().max().item<double>(), tolerance);
    }
  });
}

// ---- layers ----

// Two layers, each of a matrix and a bias in one piece of memory with a gap between them; an embedding before and a
// norm after.
using Layered = testing::LayeredWeights;

Layered layered(at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  at::manual_seed(9);
  Layered out;
  out.add("embedding", at::randn({6, 4}).to(dtype), -1);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto memory = at::randn({25}).to(dtype);
    out.add(base::concat(layer, ".weight"), memory.narrow(0, 0, 15).view({3, 5}), layer);
    out.add(base::concat(layer, ".bias"), memory.narrow(0, 20, 5), layer);
  }
  out.add("norm", at::randn({4}).to(dtype), -1);
  return out;
}

struct Reduction {
  at::ScalarType dtype;
  StateSharding sharding;
  at::ScalarType reduce_dtype;
};

// Threads draw from one generator: what all ranks know is made before they start.
at::Tensor gradient_for(const at::Tensor& like, int64_t rank, int64_t step, int64_t pass, size_t parameter) {
  auto out = at::empty(like.sizes());
  for (int64_t i = 0; i < out.numel(); ++i) {
    out.view(-1)[i] =
        std::sin(1.7 * static_cast<double>(i + 1) + 3.1 * static_cast<double>(rank) + 5.3 * static_cast<double>(step) +
                 7.9 * static_cast<double>(pass) + 11.3 * static_cast<double>(parameter));
  }
  return out.to(like.scalar_type());
}

// A forward and backward pass as the model calls it, with the weights read where they have to be there.
double run_pass(Optimizer& optimizer, Layered& model, bool calls_around_layers,
                const std::function<at::Tensor(size_t)>& gradient) {
  double seen = 0.0;
  const auto each_of = [&](int64_t layer, const auto& action) {
    for (size_t i = 0; i < model.layers.size(); ++i) {
      if (model.layers[i] == layer) action(i);
    }
  };
  const auto read = [&](size_t i) {
    seen += model.parameters[i].second.detach().to(at::kDouble).abs().sum().item<double>();
  };
  const auto set = [&](size_t i) {  // as backward() does: adds to what is there
    at::Tensor& sum = model.parameters[i].second.mutable_grad();
    sum = sum.defined() ? sum + gradient(i) : gradient(i);
  };
  for (int64_t layer = 0; layer < 2; ++layer) {
    if (calls_around_layers) optimizer.before_layer_forward(layer);
    each_of(layer, read);
    if (calls_around_layers) optimizer.after_layer_forward(layer);
  }
  for (int64_t layer = 1; layer >= 0; --layer) {
    if (calls_around_layers) optimizer.before_layer_backward(layer);
    each_of(layer, read);
    each_of(layer, set);
    if (calls_around_layers) optimizer.after_layer_backward(layer);
  }
  each_of(-1, read);
  each_of(-1, set);
  optimizer.accumulate();
  return seen;
}

// Three steps of three ranks; the last rank has one pass less than the others. Returns rank 0's weights, and what the
// passes read.
std::pair<std::vector<at::Tensor>, double> train_layers(const Reduction& how, bool calls_around_layers,
                                                        int64_t* bytes = nullptr, bool offload = false) {
  const auto start = layered(how.dtype);
  std::vector<at::Tensor> weights;
  double seen = 0.0;
  dist::run_ranks(3, [&](dist::Communicator& communicator) {
    Layered model = layered(how.dtype);
    for (size_t i = 0; i < start.layers.size(); ++i)
      model.parameters[i].second.detach().copy_(start.parameters[i].second.detach());
    Optimizer optimizer(model.parameters, test_config(),
                        {.communicator = &communicator,
                         .sharding = how.sharding,
                         .reduce_dtype = how.reduce_dtype,
                         .layers = model.layers,
                         .offload = offload});
    double read = 0.0;
    for (int64_t step = 0; step < 3; ++step) {
      if (calls_around_layers) optimizer.release_weights();
      const int64_t passes = communicator.rank() == 2 ? 1 : 2;
      for (int64_t pass = 0; pass < passes; ++pass) {
        optimizer.begin_pass(pass + 1 == passes);
        read += run_pass(optimizer, model, calls_around_layers, [&](size_t i) {
          return gradient_for(model.parameters[i].second, communicator.rank(), step, pass, i);
        });
      }
      if (passes == 1) optimizer.idle_pass();
      optimizer.start_reduction();
      EXPECT_TRUE(optimizer.step(20).applied);
      optimizer.gather_weights();
    }
    if (communicator.rank() != 0) return;
    seen = read;
    for (const auto& [name, p] : model.parameters) weights.push_back(p.detach().clone());
    if (bytes != nullptr) *bytes = communicator.bytes_sent();
  });
  return {weights, seen};
}

class ByLayer : public ::testing::TestWithParam<Reduction> {};
INSTANTIATE_TEST_SUITE_P(All, ByLayer,
                         ::testing::Values(Reduction{at::kFloat, StateSharding::kNone, at::kFloat},
                                           Reduction{at::kBFloat16, StateSharding::kNone, at::kFloat},
                                           Reduction{at::kFloat, StateSharding::kOptimizer, at::kFloat},
                                           Reduction{at::kBFloat16, StateSharding::kOptimizer, at::kBFloat16},
                                           Reduction{at::kFloat, StateSharding::kGradients, at::kBFloat16},
                                           Reduction{at::kBFloat16, StateSharding::kGradients, at::kFloat},
                                           Reduction{at::kFloat, StateSharding::kWeights, at::kFloat},
                                           Reduction{at::kBFloat16, StateSharding::kWeights, at::kFloat},
                                           Reduction{at::kBFloat16, StateSharding::kWeights, at::kBFloat16},
                                           Reduction{at::kFloat, StateSharding::kNone, at::kBFloat16}));

TEST_P(ByLayer, ReducedBesideTheBackwardPassGivesTheSameBits) {
  const auto [beside, seen] = train_layers(GetParam(), true);
  const auto [after, also_seen] = train_layers(GetParam(), false);
  EXPECT_EQ(seen, also_seen);
  for (size_t i = 0; i < beside.size(); ++i) EXPECT_TRUE(beside[i].equal(after[i])) << i;
}

// With fp32 weights the three ways to split differ from no split in the order of sums alone.
TEST(ByLayer, EveryShardingTakesTheSameSteps) {
  const auto [whole, seen] = train_layers({at::kFloat, StateSharding::kNone, at::kFloat}, true);
  for (const auto sharding : {StateSharding::kOptimizer, StateSharding::kGradients, StateSharding::kWeights}) {
    const auto [split, also_seen] = train_layers({at::kFloat, sharding, at::kFloat}, true);
    for (size_t i = 0; i < whole.size(); ++i)
      EXPECT_LT((whole[i] - split[i]).abs().max().item<double>(), 1e-5)
          << i << " with sharding " << static_cast<int>(sharding);
    EXPECT_NEAR(seen, also_seen, 1e-4);
  }
}

// A gradient rounded to bf16 is off by at most 2^-9 of itself for each rank's part, and where all ranks keep the sum,
// once more.
TEST(ByLayer, GradientsSentInBfloat16AreRoundedOnceAPart) {
  const auto norm_with = [](StateSharding sharding, at::ScalarType reduce_dtype) {
    double norm = 0.0;
    dist::run_ranks(3, [&](dist::Communicator& communicator) {
      Layered model = layered(at::kFloat);
      Optimizer optimizer(
          model.parameters, test_config(),
          {.communicator = &communicator, .sharding = sharding, .reduce_dtype = reduce_dtype, .layers = model.layers});
      for (auto& [name, p] : model.parameters)
        p.mutable_grad() = at::full_like(p.detach(), 1.0 + 1.0 / 512.0);  // rounds to 1
      if (communicator.rank() == 1) {
        for (auto& [name, p] : model.parameters) p.mutable_grad() = at::full_like(p.detach(), 256.0);
      }
      optimizer.accumulate();
      const double found = optimizer.step(20).grad_norm;
      if (communicator.rank() == 0) norm = found;
    });
    return norm;
  };
  const double elements = 24 + 2 * 20 + 4;
  EXPECT_NEAR(norm_with(StateSharding::kOptimizer, at::kFloat), (258.0 + 1.0 / 256.0) * std::sqrt(elements), 1e-3);
  EXPECT_NEAR(norm_with(StateSharding::kOptimizer, at::kBFloat16), 258.0 * std::sqrt(elements), 1e-4);
  EXPECT_NEAR(norm_with(StateSharding::kGradients, at::kBFloat16), 258.0 * std::sqrt(elements), 1e-4);
  EXPECT_NEAR(norm_with(StateSharding::kNone, at::kBFloat16), 258.0 * std::sqrt(elements),
              1e-4);  // 256 + 1 is 256 in bf16: rounded at each hop it would be that
}

// docs/distributed.md's formulas, for each bucket filled up to three equal shards: 27 + 27 + 24 + 6 elements.
TEST(ByLayer, BytesFollowTheFormulas) {
  constexpr int64_t n = 27 + 27 + 24 + 6, layers = 54, rest = 30, steps = 3;
  const auto sent = [](const Reduction& how) {
    int64_t bytes = 0;
    train_layers(how, true, &bytes);
    return bytes;
  };
  const auto norm = [](StateSharding sharding) { return sharding == StateSharding::kNone ? 0 : 2 * 8 * 2 / 3; };
  const auto per_step = [&](int64_t element_bytes, StateSharding sharding) {
    return steps * (element_bytes * 2 / 3 + norm(sharding));
  };
  using enum StateSharding;
  EXPECT_EQ(sent({at::kFloat, kNone, at::kFloat}), per_step(8 * n, kNone));
  EXPECT_EQ(sent({at::kFloat, kNone, at::kBFloat16}), per_step(4 * n, kNone));
  EXPECT_EQ(sent({at::kBFloat16, kOptimizer, at::kFloat}), per_step(6 * n, kOptimizer));
  EXPECT_EQ(sent({at::kBFloat16, kOptimizer, at::kBFloat16}), per_step(4 * n, kOptimizer));
  EXPECT_EQ(sent({at::kFloat, kGradients, at::kBFloat16}), per_step((2 * 2 + 4) * n, kGradients));  // two passes
  // Each pass gathers the layers twice; then all is gathered for the rollout.
  EXPECT_EQ(sent({at::kBFloat16, kWeights, at::kFloat}),
            per_step(2 * (4 * n + 2 * 2 * layers) + 2 * (layers + rest), kWeights));
}

// ---- state in host memory ----

TEST_P(EveryDtype, StateInHostMemoryChangesNothing) {
  auto stays = make_parameters(GetParam()), moves = make_parameters(GetParam());
  Optimizer one(stays, test_config());
  Optimizer other(moves, test_config(), {.offload = true, .offload_elements = 10});  // each parameter comes alone
  take_steps(one, stays, 0, 3);
  take_steps(other, moves, 0, 3);
  EXPECT_TRUE(same(one.state_tensors(true), other.state_tensors(true)));
  const auto saved = other.state_tensors(true);
  auto fresh = make_parameters(GetParam());
  Optimizer resumed(fresh, test_config(), {.offload = true});
  resumed.read_state(
      [&saved](const std::string& name, at::IntArrayRef, int64_t, at::Tensor& target) {
        for (const auto& [key, tensor] : saved) {
          if (key == name) target.copy_(tensor.reshape({-1}));
        }
      },
      true);
  resumed.restore(3, 0);
  take_steps(one, stays, 3, 5);
  take_steps(other, moves, 3, 5);
  take_steps(resumed, fresh, 3, 5);
  for (size_t i = 0; i < stays.size(); ++i) {
    EXPECT_TRUE(stays[i].second.equal(moves[i].second));
    EXPECT_TRUE(stays[i].second.equal(fresh[i].second));
  }
}

TEST(ByLayer, StateInHostMemoryChangesNothing) {
  for (const Reduction& how : {Reduction{at::kFloat, StateSharding::kWeights, at::kFloat},
                               Reduction{at::kBFloat16, StateSharding::kOptimizer, at::kFloat}}) {
    const auto [stays, seen] = train_layers(how, true);
    const auto [moves, also_seen] = train_layers(how, true, nullptr, /*offload=*/true);
    for (size_t i = 0; i < stays.size(); ++i) EXPECT_TRUE(stays[i].equal(moves[i])) << i;
  }
}

}  // namespace
}  // namespace grpo::optim
