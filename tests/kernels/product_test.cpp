#include "grpo/kernels/product.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

using testing::with_every_cpu;
using testing::with_threads;

const at::ScalarType kTypes[] = {at::kFloat, at::kBFloat16};

at::Tensor random(int64_t rows, int64_t columns, at::ScalarType type) { return at::randn({rows, columns}).to(type); }

at::Tensor in_double(const at::Tensor& a, const at::Tensor& b) { return at::mm(a.to(at::kDouble), b.to(at::kDouble)); }

// fp32 sums of k products of numbers of about 1, and for bf16 one rounding to 8 bits.
void expect_near(const at::Tensor& found, const at::Tensor& expected, int64_t k) {
  const double rounding = found.scalar_type() == at::kBFloat16 ? std::ldexp(1.0, -8) : 0.0;
  const auto allowed = expected.abs() * (rounding * 1.001) + (2e-7 * static_cast<double>(k) + 2e-6);
  const auto beyond = (found.to(at::kDouble) - expected).abs() - allowed;
  EXPECT_EQ(found.sizes(), expected.sizes());
  if (beyond.numel() > 0) {
    EXPECT_LE(beyond.max().item<double>(), 0.0);
  }
}

TEST(Product, EqualsTheProductInDouble) {
  with_every_cpu([] {
    at::manual_seed(1);  // the same numbers for all
    for (const auto type : kTypes) {
      for (const int64_t k : {1, 3, 18, 255, 579}) {
        for (const int64_t n : {1, 7, 16, 33, 65, 150}) {
          const auto b = random(k, n, type);
          const auto bias = at::randn({n}).to(type);
          const auto packed = pack_matrix(b);
          for (int64_t m = 1; m <= 40; m += n == 33 ? 1 : 7) {
            SCOPED_TRACE(::testing::Message() << type << " " << m << "x" << k << "x" << n);
            const auto a = random(m, k, type);
            const auto expected = in_double(a, b);
            expect_near(product(a, packed), expected, k);
            expect_near(product(a, packed, bias), expected + bias.to(at::kDouble), k);
            EXPECT_TRUE(at::equal(product(a, b, bias), product(a, packed, bias)));
          }
        }
      }
    }
  });
}

// More rows than a block has, and numbers of k in several parts.
TEST(Product, EqualsTheProductInDoubleForManyRows) {
  at::manual_seed(2);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      const auto a = random(211, 1531, type), b = random(1531, 307, type);
      expect_near(product(a, pack_matrix(b)), in_double(a, b), 1531);
      expect_near(product(a, b), in_double(a, b), 1531);
    }
  });
}

TEST(Product, RoundsTheSumsOfBf16Once) {
  at::manual_seed(3);
  with_every_cpu([] {
    for (const int64_t m : {1, 2, 3, 6, 29}) {
      const auto a = random(m, 1201, at::kBFloat16), b = random(1201, 77, at::kBFloat16);
      const auto bias = at::randn({77}).to(at::kBFloat16);
      auto sums = at::zeros({m, 77});
      add_product(sums, a, b);
      EXPECT_TRUE(at::equal(product(a, b, bias), (sums + bias).to(at::kBFloat16))) << m;
    }
  });
}

TEST(Product, GivesARowTheSameBitsInEveryBatch) {
  at::manual_seed(4);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      const auto a = random(130, 700, type), b = random(700, 150, type);
      const auto packed = pack_matrix(b);
      const auto whole = product(a, packed);
      for (int64_t count = 1; count <= 40; ++count) {
        const int64_t first = 3 * count % (130 - count);
        EXPECT_TRUE(at::equal(product(a.narrow(0, first, count), packed), whole.narrow(0, first, count)))
            << type << ", rows " << first << " to " << first + count;
      }
    }
  });
}

TEST(Product, DoesNotDependOnThreads) {
  at::manual_seed(5);
  for (const auto type : kTypes) {
    for (const int64_t m : {1, 37, 400}) {
      const auto a = random(m, 1100, type), b = random(1100, 900, type);
      const auto packed = pack_matrix(b);
      const auto one = with_threads(1, [&] { return product(a, packed); });
      EXPECT_TRUE(at::equal(with_threads(3, [&] { return product(a, packed); }), one)) << type << " " << m;
      EXPECT_TRUE(at::equal(with_threads(3, [&] { return product(a, b); }), one)) << type << " " << m;
    }
  }
}

TEST(Product, ReadsMatricesOfAnyStrides) {
  at::manual_seed(6);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      const auto wide = random(60, 90, type), tall = random(80, 60, type);
      const auto spread = random(120, 160, type);
      const std::vector<at::Tensor> lefts = {wide.narrow(0, 1, 37).narrow(1, 5, 50), tall.narrow(0, 3, 50).t(),
                                             spread.narrow(0, 0, 74).slice(0, 0, 74, 2).slice(1, 0, 150, 3),
                                             random(1, 50, type).expand({9, 50}), random(9, 1, type).expand({9, 50})};
      const std::vector<at::Tensor> rights = {wide.narrow(0, 2, 50).narrow(1, 1, 41), wide.narrow(1, 4, 50).t(),
                                              spread.slice(0, 0, 100, 2).slice(1, 0, 80, 4), random(50, 1, type),
                                              random(1, 50, type).t()};
      for (const auto& a : lefts) {
        for (const auto& b : rights) {
          SCOPED_TRACE(::testing::Message() << type << a.sizes() << a.strides() << b.sizes() << b.strides());
          const auto dense = product(a.contiguous(), b.contiguous());
          expect_near(dense, in_double(a, b), 50);
          EXPECT_TRUE(at::equal(product(a, b), dense));
          EXPECT_TRUE(at::equal(product(a, pack_matrix(b)), dense));
        }
      }
    }
  });
}

// As a weight's gradient has them: neither matrix has what two steps of k take side by side.
TEST(Product, ReadsColumnsOfAnySize) {
  at::manual_seed(16);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      for (const int64_t k : {1, 2, 15, 17, 32, 33, 67}) {
        for (const int64_t m : {1, 7, 15, 16, 17, 40}) {
          SCOPED_TRACE(::testing::Message() << type << " " << k << " " << m);
          const auto a = random(k, m, type).t(), b = random(k, 19, type);
          expect_near(product(a, b), in_double(a, b), k);
          EXPECT_TRUE(at::equal(product(a, b), product(a.contiguous(), b)));
        }
      }
    }
  });
}

TEST(Product, WritesMatricesOfAnyStrides) {
  at::manual_seed(7);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      const auto a = random(21, 40, type), b = random(40, 35, type);
      const auto expected = product(a, b);
      const auto wide = at::full({30, 60}, 7.0, type);
      auto inside = wide.narrow(0, 4, 21).narrow(1, 9, 35);
      product_into(inside, a, b);
      EXPECT_TRUE(at::equal(inside, expected));
      EXPECT_EQ(wide.sum().to(at::kDouble).isnan().item<bool>(), false);
      EXPECT_TRUE(wide.narrow(1, 44, 16).eq(7.0).all().item<bool>());
      EXPECT_TRUE(wide.narrow(1, 0, 9).eq(7.0).all().item<bool>());
      auto turned = at::empty({35, 21}, type).t();
      product_into(turned, a, b);
      EXPECT_TRUE(at::equal(turned, expected));
    }
  });
}

TEST(Product, AddsToAnFp32Sum) {
  at::manual_seed(8);
  with_every_cpu([] {
    for (const auto type : kTypes) {
      const auto a = random(300, 21, type).t(), b = random(300, 45, type);
      auto sum = at::ones({21, 45});
      add_product(sum, a, b);
      expect_near(sum, in_double(a, b) + 1.0, 300);
      auto turned = at::ones({45, 21}).t();
      add_product(turned, a, b);
      EXPECT_TRUE(at::equal(turned, sum));
    }
  });
}

// Matrices that are packed and copied in several parts.
TEST(Product, TakesLargeMatricesInParts) {
  at::manual_seed(9);
  for (const auto type : kTypes) {
    const auto a = random(9000, 5, type), b = random(9000, 1100, type);
    const auto expected = in_double(a.t(), b);
    expect_near(product(a.t(), b), expected, 9000);
    auto sum = at::zeros({5, 1100});
    add_product(sum, a.t(), b);
    expect_near(sum, expected, 9000);
    expect_near(product(b.t(), a), in_double(b.t(), a), 9000);
  }
}

TEST(Product, TakesEmptyMatrices) {
  with_every_cpu([] {
    for (const auto type : kTypes) {
      const auto bias = at::ones({6}, type);
      EXPECT_EQ(product(at::ones({0, 8}, type), at::ones({8, 5}, type)).sizes(), (at::IntArrayRef{0, 5}));
      EXPECT_EQ(product(at::ones({3, 8}, type), at::ones({8, 0}, type)).sizes(), (at::IntArrayRef{3, 0}));
      EXPECT_EQ(product(at::ones({0, 8}, type), pack_matrix(at::ones({8, 5}, type))).sizes(), (at::IntArrayRef{0, 5}));
      EXPECT_TRUE(product(at::ones({3, 0}, type), at::ones({0, 6}, type)).eq(0).all().item<bool>());
      EXPECT_TRUE(product(at::ones({3, 0}, type), at::ones({0, 6}, type), bias).eq(1).all().item<bool>());
      EXPECT_TRUE(product(at::ones({3, 0}, type), pack_matrix(at::ones({0, 6}, type)), bias).eq(1).all().item<bool>());
      auto sum = at::ones({3, 6});
      add_product(sum, at::ones({3, 0}, type), at::ones({0, 6}, type));
      EXPECT_TRUE(sum.eq(1).all().item<bool>());
    }
  });
}

TEST(Product, KeepsWhatIsNoNumber) {
  with_every_cpu([] {
    for (const auto type : kTypes) {
      auto a = at::ones({7, 20}, type);
      a.narrow(0, 2, 1).fill_(std::numeric_limits<float>::infinity());
      a.narrow(0, 5, 1).fill_(std::numeric_limits<float>::quiet_NaN());
      const auto found = product(a, at::ones({20, 19}, type)).to(at::kFloat);
      EXPECT_TRUE(found[2].isinf().all().item<bool>());
      EXPECT_TRUE(found[5].isnan().all().item<bool>());
      EXPECT_TRUE(found[6].eq(20.0).all().item<bool>());
    }
  });
}

TEST(Product, RefusesWhatDoesNotFit) {
  const auto a = at::ones({2, 8});
  EXPECT_THROW(product(a, at::ones({7, 3})), std::logic_error);
  EXPECT_THROW(product(a, at::ones({8, 3}, at::kBFloat16)), std::logic_error);
  EXPECT_THROW(product(a, at::ones({8, 3}), at::ones({4})), std::logic_error);
  EXPECT_THROW(pack_matrix(at::ones({8, 3}, at::kDouble)), std::logic_error);
  auto packed = pack_matrix(at::ones({8, 3}));
  packed.instruction_set = "another one";
  EXPECT_THROW(product(a, packed), std::logic_error);
}

}  // namespace
}  // namespace grpo::kernels
