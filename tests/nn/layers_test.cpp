#include "grpo/nn/layers.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/IListRef.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <utility>
#include <vector>

namespace grpo::nn {
namespace {

using Layer = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;

// Values and gradients of a layer on the CPU in fp32 and bf16 against the plain formulas that double takes. An
// undefined input is a bias that is not there.
void expect_as_in_double(const Layer& layer, const std::vector<at::Tensor>& inputs) {
  const auto run = [&](at::ScalarType type) {
    std::vector<at::Tensor> leaves, results;
    for (const auto& input : inputs)
      leaves.push_back(input.defined() ? input.to(type).clone().set_requires_grad(true) : input);
    at::Tensor total = at::zeros({}, at::kDouble);
    for (const auto& output : layer(leaves)) {
      results.push_back(output.detach().to(at::kDouble));
      total = total +
              (output.to(at::kDouble) * at::linspace(-1, 1, output.numel(), at::kDouble).view(output.sizes())).sum();
    }
    total.backward();
    for (const auto& leaf : leaves) {
      if (leaf.defined()) results.push_back(leaf.grad().to(at::kDouble));
    }
    return results;
  };
  const auto expected = run(at::kDouble);
  for (const auto& [type, tolerance] : {std::pair{at::kFloat, 1e-5}, std::pair{at::kBFloat16, 4e-2}}) {
    const auto found = run(type);
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LT((found[i] - expected[i]).abs().max().item<double>(),
                tolerance * (1.0 + expected[i].abs().max().item<double>()))
          << c10::toString(type) << ", result " << i;
    }
  }
}

at::Tensor random(at::IntArrayRef sizes) { return at::randn(sizes).to(at::kBFloat16).to(at::kFloat); }

TEST(Layers, LinearAndItsGradients) {
  at::manual_seed(1);
  const Layer layer = [](const auto& in) { return std::vector{linear(in[0], {in[1], in[2]})}; };
  expect_as_in_double(layer, {random({70, 24}), random({35, 24}) / 8, random({35})});
  expect_as_in_double(layer, {random({70, 24}), random({35, 24}) / 8, at::Tensor()});
}

TEST(Layers, RmsNormAndItsGradients) {
  at::manual_seed(2);
  const Layer layer = [](const auto& in) { return std::vector{rms_norm(in[0], {in[1], 1e-5})}; };
  expect_as_in_double(layer, {random({150, 47}), random({47})});
  expect_as_in_double(layer, {random({9, 3, 16}), random({16})});
}

TEST(Layers, NormedProjectionsAndTheirGradients) {
  at::manual_seed(3);
  const Layer layer = [](const auto& in) {
    const auto all = normed_projections(in[0], {in[1], 1e-5}, {{{in[2], in[3]}, {in[4], in[5]}, {in[6], in[7]}}});
    return std::vector{all[0], all[1], all[2]};
  };
  for (const bool bias : {true, false}) {
    const auto some = [&](int64_t n) { return bias ? random({n}) : at::Tensor(); };
    expect_as_in_double(layer, {random({70, 24}), random({24}), random({48, 24}) / 8, some(48), random({16, 24}) / 8,
                                some(16), random({16, 24}) / 8, some(16)});
  }
}

TEST(Layers, GatedMlpAndItsGradients) {
  at::manual_seed(4);
  const Layer layer = [](const auto& in) {
    return std::vector{gated_mlp(in[0], {in[1], 1e-5}, {in[2], in[3]}, {in[4], in[5]}, {in[6], in[7]})};
  };
  for (const bool bias : {true, false}) {
    const auto some = [&](int64_t n) { return bias ? random({n}) : at::Tensor(); };
    expect_as_in_double(layer, {random({70, 24}), random({24}), random({40, 24}) / 8, some(40), random({40, 24}) / 8,
                                some(40), random({24, 40}) / 8, some(24)});
  }
}

// Leaves that lie one behind the other, as a model's layers keep them: one product serves them all.
std::vector<at::Tensor> as_neighbours(const std::vector<at::Tensor>& parts) {
  const auto memory = at::cat(parts).detach();
  std::vector<at::Tensor> leaves;
  int64_t begin = 0;
  for (const auto& part : parts) {
    leaves.push_back(memory.narrow(0, begin, part.size(0)).detach().set_requires_grad(true));
    begin += part.size(0);
  }
  return leaves;
}

TEST(Layers, WeightsThatAreNeighboursGiveTheSameBits) {
  at::manual_seed(6);
  const std::vector<at::Tensor> sizes = {random({48, 24}) / 8, random({16, 24}) / 8, random({16, 24}) / 8};
  const auto x = random({70, 24}), norm = random({24}), bias = random({48}), down = random({24, 16}) / 8;
  const auto run = [&](const std::vector<at::Tensor>& w) {
    const auto leaf = x.clone().set_requires_grad(true);
    const auto all = normed_projections(leaf, {norm, 1e-5}, {{{w[0], {}}, {w[1], {}}, {w[2], {}}}});
    const auto mlp = gated_mlp(leaf, {norm, 1e-5}, {w[1], {}}, {w[2], {}}, {down, {}});
    (all[0].square().sum() + all[1].exp().sum() + (all[2] * all[1]).sum() + mlp.square().sum()).backward();
    return std::vector{leaf.grad(), w[0].grad(), w[1].grad(), w[2].grad()};
  };
  std::vector<at::Tensor> apart;
  for (const auto& part : sizes) apart.push_back(part.clone().set_requires_grad(true));
  const auto expected = run(apart), found = run(as_neighbours(sizes));
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected[i])) << i;
}

TEST(Layers, RotatedProjectionsAndTheirGradients) {
  at::manual_seed(7);
  const auto positions = at::randint(0, 30, {70}, at::kLong);
  const auto angles = at::rand({30, 4}) * 6;
  const Layer layer = [&](const auto& in) {
    const auto all = rotated_projections(in[0], {in[1], 1e-5}, {{{in[2], in[3]}, {in[4], in[5]}, {in[6], in[7]}}},
                                         {positions, angles.cos(), angles.sin(), 8});
    return std::vector{all[0], all[1], all[2]};
  };
  for (const bool bias : {true, false}) {
    const auto some = [&](int64_t n) { return bias ? random({n}) : at::Tensor(); };
    expect_as_in_double(layer, {random({70, 24}), random({24}), random({48, 24}) / 8, some(48), random({16, 24}) / 8,
                                some(16), random({16, 24}) / 8, some(16)});
  }
}

// A backward pass need not use all of them, nor find their gradients dense.
TEST(Layers, RotatedProjectionsTakeGradientsOfAnyStrides) {
  at::manual_seed(8);
  const auto positions = at::arange(6);
  const auto angles = at::rand({30, 4}) * 6;
  const auto x = random({6, 24}), norm = random({24}), q = random({16, 24}), k = random({8, 24}), v = random({8, 24});
  const auto gradient = [&](bool dense) {
    const auto leaf = x.clone().set_requires_grad(true);
    const auto all = rotated_projections(leaf, {norm, 1e-5}, {{{q, {}}, {k, {}}, {v, {}}}},
                                         {positions, angles.cos(), angles.sin(), 8});
    const auto weight = at::linspace(-1, 1, 96).view({8, 2, 6}).permute({2, 1, 0});  // [6, 2, 8], its rows strided
    all[0].backward(dense ? weight.contiguous() : weight);
    return leaf.grad();
  };
  EXPECT_TRUE(at::equal(gradient(true), gradient(false)));
}

TEST(Layers, RopeAndItsGradient) {
  at::manual_seed(5);
  const auto positions = at::randint(0, 30, {50}, at::kLong);
  const auto angles = at::rand({30, 8}) * 6;
  const Layer layer = [&](const auto& in) { return std::vector{rope(in[0], positions, angles.cos(), angles.sin())}; };
  expect_as_in_double(layer, {random({50, 3, 16})});
}

// Inputs of a layer with adapters: `in` and what follows from `first` on are their factors, a and b of each layer.
Adapter adapter_of(const std::vector<at::Tensor>& in, size_t first, const Dropout& dropout = {}) {
  return {.a = in[first], .b = in[first + 1], .scale = 1.5, .dropout = dropout};
}

std::vector<at::Tensor> with_factors(std::vector<at::Tensor> inputs,
                                     const std::vector<std::pair<int64_t, int64_t>>& shapes) {
  for (const auto& [in, out] : shapes) {
    inputs.push_back(random({3, in}) / 4);
    inputs.push_back(random({out, 3}) / 2);
  }
  return inputs;
}

Dropout some_dropout(int64_t key) {
  return {.p = 0.3, .key = key, .token_keys = at::randint(1L << 62, {70}, at::kLong)};
}

TEST(LayersWithAdapters, LinearAndItsGradients) {
  at::manual_seed(21);
  for (const Dropout& dropout : {Dropout{}, some_dropout(5)}) {
    const Layer layer = [&](const auto& in) {
      return std::vector{linear(in[0], {in[1], in[2], adapter_of(in, 3, dropout)})};
    };
    expect_as_in_double(layer, with_factors({random({70, 24}), random({35, 24}) / 8, random({35})}, {{24, 35}}));
    expect_as_in_double(layer, with_factors({random({70, 24}), random({35, 24}) / 8, at::Tensor()}, {{24, 35}}));
  }
}

TEST(LayersWithAdapters, RotatedProjectionsAndTheirGradients) {
  at::manual_seed(22);
  const auto positions = at::randint(0, 30, {70}, at::kLong);
  const auto angles = at::rand({30, 4}) * 6;
  const auto dropout = some_dropout(-6);
  const Layer all_three = [&](const auto& in) {
    const auto all = rotated_projections(
        in[0], {in[1], 1e-5},
        {{{in[2], {}, adapter_of(in, 5, dropout)}, {in[3], {}, adapter_of(in, 7)}, {in[4], {}, adapter_of(in, 9)}}},
        {positions, angles.cos(), angles.sin(), 8});
    return std::vector{all[0], all[1], all[2]};
  };
  const std::vector<at::Tensor> inputs = {random({70, 24}), random({24}), random({48, 24}) / 8, random({16, 24}) / 8,
                                          random({16, 24}) / 8};
  expect_as_in_double(all_three, with_factors(inputs, {{24, 48}, {24, 16}, {24, 16}}));
  const Layer values_alone = [&](const auto& in) {
    const auto all =
        normed_projections(in[0], {in[1], 1e-5}, {{{in[2], {}}, {in[3], {}}, {in[4], {}, adapter_of(in, 5)}}});
    return std::vector{all[0], all[1], all[2]};
  };
  expect_as_in_double(values_alone, with_factors(inputs, {{24, 16}}));
}

TEST(LayersWithAdapters, GatedMlpAndItsGradients) {
  at::manual_seed(23);
  for (const bool keep : {true, false}) {
    for (const Dropout& dropout : {Dropout{}, some_dropout(7)}) {
      const Layer layer = [&](const auto& in) {
        return std::vector{gated_mlp(in[0], {in[1], 1e-5}, {in[2], {}, adapter_of(in, 5, dropout)},
                                     {in[3], {}, adapter_of(in, 7, dropout)}, {in[4], {}, adapter_of(in, 9, dropout)},
                                     keep)};
      };
      expect_as_in_double(layer, with_factors({random({70, 24}), random({24}), random({40, 24}) / 8,
                                               random({40, 24}) / 8, random({24, 40}) / 8},
                                              {{24, 40}, {24, 40}, {40, 24}}));
    }
  }
}

// The formulas that double takes, against differences of their values.
TEST(LayersWithAdapters, GradientsAreThoseOfFiniteDifferences) {
  at::manual_seed(24);
  const auto x = at::randn({9, 6}, at::kDouble), weight = at::randn({5, 6}, at::kDouble);
  const auto a = at::randn({2, 6}, at::kDouble).set_requires_grad(true);
  const auto b = at::randn({5, 2}, at::kDouble).set_requires_grad(true);
  const Dropout dropout{.p = 0.25, .key = 3, .token_keys = at::arange(9) * 977};
  const auto loss = [&] { return linear(x, {weight, {}, {a, b, 0.7, dropout}}).sin().sum(); };
  loss().backward();
  for (const at::Tensor& factor : {a, b}) {
    for (int64_t i = 0; i < factor.numel(); ++i) {
      const at::NoGradGuard no_grad;
      const auto place = factor.view(-1)[i];
      const double kStep = 1e-5;
      place.add_(kStep);
      const double above = loss().item<double>();
      place.sub_(2 * kStep);
      const double below = loss().item<double>();
      place.add_(kStep);
      // The error of a central difference is of the order of the step's square.
      EXPECT_NEAR(factor.grad().view(-1)[i].item<double>(), (above - below) / (2 * kStep), 1e-8);
    }
  }
}

TEST(LayersWithAdapters, AFrozenWeightBesideThemGetsNoGradient) {
  at::manual_seed(25);
  const auto x = random({70, 24}).set_requires_grad(true), weight = random({35, 24});
  const auto a = random({3, 24}).set_requires_grad(true), b = random({35, 3}).set_requires_grad(true);
  linear(x, {weight, {}, {a, b}}).square().sum().backward();
  EXPECT_FALSE(weight.grad().defined());
  for (const at::Tensor& trained : {x, a, b}) EXPECT_TRUE(trained.grad().defined());
}

TEST(LayersWithAdapters, OfAnInputWithoutGradientHaveTheSameGradients) {
  at::manual_seed(27);
  const auto x = random({70, 24}), norm = random({24}), q = random({48, 24}), k = random({16, 24});
  const auto a = random({3, 24}), b = random({16, 3});
  const auto gradients = [&](bool of_input) {
    const auto input = x.clone().set_requires_grad(of_input);
    const Adapter adapter{.a = a.clone().set_requires_grad(true), .b = b.clone().set_requires_grad(true)};
    const auto all = normed_projections(input, {norm, 1e-5}, {{{q, {}}, {k, {}, adapter}, {k, {}}}});
    (all[1].square().sum() + all[2].square().sum()).backward();
    return std::vector{adapter.a.grad(), adapter.b.grad()};
  };
  const auto expected = gradients(true), found = gradients(false);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_TRUE(at::equal(expected[i], found[i])) << i;
}

TEST(Dropout, LeavesOutItsShareAndScalesTheRest) {
  at::manual_seed(26);
  const int64_t rows = 400, columns = 500;
  for (const double p : {0.05, 0.5, 0.9}) {
    const auto kept =
        dropped(at::ones({rows, columns}), {.p = p, .key = 11, .token_keys = at::randint(1L << 62, {rows}, at::kLong)});
    const auto out = kept.eq(0).to(at::kDouble);
    // Five standard deviations of the mean of so many draws, and of those of a row or a column.
    const auto deviation = [&](int64_t n) { return 5.0 * std::sqrt(p * (1.0 - p) / static_cast<double>(n)); };
    EXPECT_NEAR(out.mean().item<double>(), p, deviation(rows * columns));
    EXPECT_LT((out.mean(0) - p).abs().max().item<double>(), deviation(rows));
    EXPECT_LT((out.mean(1) - p).abs().max().item<double>(), deviation(columns));
    EXPECT_NEAR(kept.max().item<double>(), 1.0 / (1.0 - p), 1e-5);
    // Two columns, or two rows, know nothing of one another.
    const auto both = (out.slice(1, 1) * out.slice(1, 0, -1)).mean().item<double>();
    const auto both_rows = (out.slice(0, 1) * out.slice(0, 0, -1)).mean().item<double>();
    EXPECT_NEAR(both, p * p, 0.01);
    EXPECT_NEAR(both_rows, p * p, 0.01);
  }
}

TEST(Dropout, IsTheSameForATokenWhereverItIsPacked) {
  const auto x = at::ones({6, 40}), rows = at::arange(6) * 12345 + 7;
  const auto whole = dropped(x, {.p = 0.4, .key = 1, .token_keys = rows});
  const auto part = dropped(x.slice(0, 2, 5), {.p = 0.4, .key = 1, .token_keys = rows.slice(0, 2, 5)});
  EXPECT_TRUE(at::equal(whole.slice(0, 2, 5), part));
  EXPECT_FALSE(at::equal(whole, dropped(x, {.p = 0.4, .key = 2, .token_keys = rows})));
  EXPECT_TRUE(at::equal(x, dropped(x, {.p = 0.4, .key = 1})));
}

}  // namespace
}  // namespace grpo::nn
