#include "grpo/nn/recompute.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tanh.h>
#include <gtest/gtest.h>

namespace grpo::nn {
namespace {

struct Net {
  at::Tensor a = at::randn({6, 5}, at::kDouble).set_requires_grad(true),
             b = at::randn({4, 6}, at::kDouble).set_requires_grad(true);
  at::Tensor operator()(const at::Tensor& x) const { return at::linear(at::tanh(at::linear(x, a)), b); }
};

TEST(Recomputed, HasTheSameResultAndGradients) {
  at::manual_seed(1);
  const Net net;
  const auto x = at::randn({3, 5}, at::kDouble).set_requires_grad(true);
  const auto expected = net(x);
  expected.square().sum().backward();
  const auto gx = x.grad().clone(), ga = net.a.grad().clone(), gb = net.b.grad().clone();
  for (const auto* t : {&x, &net.a, &net.b}) t->mutable_grad().reset();
  int calls = 0;
  const auto found = recomputed(
      [&](const at::Tensor& y) {
        ++calls;
        return net(y);
      },
      x);
  EXPECT_EQ(calls, 1);
  found.square().sum().backward();
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(at::equal(found, expected));
  EXPECT_TRUE(at::equal(x.grad(), gx));
  EXPECT_TRUE(at::equal(net.a.grad(), ga));
  EXPECT_TRUE(at::equal(net.b.grad(), gb));
}

TEST(Recomputed, CanBeStackedAndNested) {
  at::manual_seed(2);
  const Net net;
  const auto w = at::randn({5, 4}, at::kDouble).set_requires_grad(true);
  const auto x = at::randn({3, 5}, at::kDouble).set_requires_grad(true);
  const auto layer = [&](const at::Tensor& y) { return at::linear(net(y), w); };
  layer(layer(x)).sum().backward();
  const auto gx = x.grad().clone(), gw = w.grad().clone();
  for (const auto* t : {&x, &w, &net.a, &net.b}) t->mutable_grad().reset();
  const auto kept = [&](const at::Tensor& y) {
    return recomputed([&](const at::Tensor& z) { return at::linear(recomputed(net, z), w); }, y);
  };
  kept(kept(x)).sum().backward();
  EXPECT_TRUE(at::allclose(x.grad(), gx));
  EXPECT_TRUE(at::allclose(w.grad(), gw));
}

TEST(Recomputed, IsTheFunctionWithoutGrad) {
  const at::NoGradGuard no_grad;
  const Net net;
  const auto x = at::randn({3, 5}, at::kDouble);
  const auto y = recomputed(net, x);
  EXPECT_TRUE(at::equal(y, net(x)));
  EXPECT_FALSE(y.requires_grad());
}

}  // namespace
}  // namespace grpo::nn
