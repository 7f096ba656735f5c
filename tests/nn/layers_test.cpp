#include "grpo/nn/layers.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <functional>
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

}  // namespace
}  // namespace grpo::nn
