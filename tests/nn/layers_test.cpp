#include "grpo/nn/layers.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace grpo::nn {
namespace {

using Layer = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;

// Values and gradients of a layer on the CPU in fp32 and bf16 against the plain formulas that double takes. An undefined
// input is a bias that is not there.
void expect_as_in_double(const Layer& layer, const std::vector<at::Tensor>& inputs) {
  const auto run = [&](at::ScalarType type) {
    std::vector<at::Tensor> leaves, results;
    for (const auto& input : inputs) leaves.push_back(input.defined() ? input.to(type).clone().set_requires_grad(true) : input);
    at::Tensor total = at::zeros({}, at::kDouble);
    for (const auto& output : layer(leaves)) {
      results.push_back(output.detach().to(at::kDouble));
      total = total + (output.to(at::kDouble) * at::linspace(-1, 1, output.numel(), at::kDouble).view(output.sizes())).sum();
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
      EXPECT_LT((found[i] - expected[i]).abs().max().item<double>(), tolerance * (1.0 + expected[i].abs().max().item<double>()))
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

TEST(Layers, RopeAndItsGradient) {
  at::manual_seed(5);
  const auto positions = at::randint(0, 30, {50}, at::kLong);
  const auto angles = at::rand({30, 8}) * 6;
  const Layer layer = [&](const auto& in) { return std::vector{rope(in[0], positions, angles.cos(), angles.sin())}; };
  expect_as_in_double(layer, {random({50, 3, 16})});
}

}  // namespace
}  // namespace grpo::nn
