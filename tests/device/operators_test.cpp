// Operators: the CPU's numbers in the device's memory, in whatever way the operator returns them.
#include <ATen/core/IListRef.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/add.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/tensor.h>

#include "device/device_fixture.h"

namespace grpo::host_device {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class Operators : public HostDevice, public ::testing::WithParamInterface<uint64_t> {
 protected:
  void SetUp() override { set_seed(GetParam()); }
};

TEST_P(Operators, ReturnWhatTheCpuReturns) {
  const auto a = at::randn({7, 12}), b = at::randn({12, 5});
  const auto x = a.to(at::kCUDA), y = b.to(at::kCUDA);
  EXPECT_TRUE(at::equal(at::mm(x, y).cpu(), at::mm(a, b)));
  EXPECT_TRUE(at::equal(at::cat({x, x}, 1).cpu(), at::cat({a, a}, 1)));
  EXPECT_TRUE(at::equal(x.t().sum(0).cpu(), a.t().sum(0)));
  EXPECT_TRUE(at::equal(x.index({at::tensor({1, 5}).to(at::kCUDA)}).cpu(), a.index({at::tensor({1, 5})})));
  const auto [values, places] = x.topk(3);
  EXPECT_TRUE(at::equal(values.cpu(), std::get<0>(a.topk(3))));
  EXPECT_TRUE(at::equal(places.cpu(), std::get<1>(a.topk(3))));
  EXPECT_TRUE(at::equal(x.masked_select(x > 0).cpu(), a.masked_select(a > 0)));
  EXPECT_TRUE(at::equal(at::log_softmax(x.to(at::kBFloat16), -1, at::kFloat).cpu(),
                        at::log_softmax(a.to(at::kBFloat16).to(at::kFloat), -1)));
}

TEST_P(Operators, WriteInPlaceAndToOut) {
  auto a = at::randn({6, 4});
  auto x = a.to(at::kCUDA);
  x.t().mul_(2.0);
  x.narrow(0, 1, 2).fill_(9.0);
  a.t().mul_(2.0);
  a.narrow(0, 1, 2).fill_(9.0);
  EXPECT_TRUE(at::equal(x.cpu(), a));
  auto out = at::empty({0}, device());
  at::add_out(out, x, x);
  EXPECT_TRUE(at::equal(out.cpu(), a + a));
  at::_foreach_mul_({x, out}, 3.0);
  EXPECT_TRUE(at::equal(out.cpu(), (a + a) * 3.0));
}

TEST_P(Operators, AddProductsOfHalvesInFp32) {
  const auto a = at::randn({5, 8}).to(at::kBFloat16), b = at::randn({8, 3}).to(at::kBFloat16);
  auto sum = at::ones({5, 3}, device());
  at::addmm_out(sum, sum, a.to(at::kCUDA), b.to(at::kCUDA), at::kFloat);
  EXPECT_TRUE(at::allclose(sum.cpu(), at::mm(a.to(at::kFloat), b.to(at::kFloat)) + 1.0, 1e-6, 1e-6));
}

TEST_P(Operators, KeepNoMemoryAlive) {
  const auto before = counts().device_bytes;
  for (int i = 0; i < 50; ++i) at::ones({1 << 20}, device()).add_(1.0);
  EXPECT_LE(counts().device_bytes - before, 64 << 20);
}

TEST_P(Operators, DrawTheSameInEveryOrder) {
  const auto x = at::randn({1000}, device());
  EXPECT_LT(std::abs(value(x.mean())), 0.2);
  EXPECT_NEAR(value(x.std()), 1.0, 0.1);
}

TEST_P(Operators, FailAsTheDeviceWould) {
  const auto x = at::ones({3}, device());
  const auto index = at::tensor({7}).to(at::kCUDA);
  EXPECT_ANY_THROW({
    const auto y = x.index_select(0, index);
    c10::cuda::device_synchronize();
  });
  EXPECT_THAT(take_errors(), Contains(HasSubstr("aten::index_select")));
}

INSTANTIATE_TEST_SUITE_P(Orders, Operators, ::testing::Values(0, 1, 2));

// The fused attentions against the CPU's, with gradients.
TEST_F(HostDevice, AttendsAsTheCpuDoes) {
  for (const bool causal : {false, true}) {
    std::vector<at::Tensor> there, here;
    for (int i = 0; i < 3; ++i) {
      here.push_back(at::randn({2, 4, 33, 16}).requires_grad_(true));
      there.push_back(here.back().detach().to(at::kCUDA).requires_grad_(true));
    }
    const auto attend = [&](const std::vector<at::Tensor>& x) {
      return at::scaled_dot_product_attention(x[0], x[1], x[2], {}, 0.0, causal);
    };
    const auto found = attend(there), expected = attend(here);
    found.square().sum().backward();
    expected.square().sum().backward();
    EXPECT_TRUE(at::allclose(found.cpu(), expected, 1e-4, 1e-5));
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::allclose(there[i].grad().cpu(), here[i].grad(), 1e-4, 1e-5)) << i;
  }
}

}  // namespace
}  // namespace grpo::host_device
