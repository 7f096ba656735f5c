#include "kernels/truncation.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/round.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

using testing::with_every_cpu;

struct Row {
  std::vector<float> logits;
  std::vector<float> masses;
  double total = 0.0;
};

Row make_row(std::vector<float> logits) {
  Row row{.logits = std::move(logits), .masses = {}};
  const float top = *std::max_element(row.logits.begin(), row.logits.end());
  for (const float x : row.logits) row.masses.push_back(std::exp(x - top));
  for (const float mass : row.masses) row.total += static_cast<double>(mass);
  return row;
}

std::vector<float> random_logits(int64_t n, double spread, double rounding) {
  auto values = at::randn({n}) * spread;
  if (rounding > 0.0) values = at::round(values / rounding) * rounding;
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + n};
}

std::vector<int64_t> ids_of(const std::vector<Candidate>& candidates) {
  std::vector<int64_t> ids;
  for (const auto& candidate : candidates) ids.push_back(candidate.id);
  return ids;
}

std::vector<int64_t> kept_by_sorting(const Row& row, int64_t top_k, double top_p) {
  std::vector<int64_t> order(row.logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return row.logits[static_cast<size_t>(a)] > row.logits[static_cast<size_t>(b)];
  });
  if (top_k > 0 && top_k < static_cast<int64_t>(order.size())) order.resize(static_cast<size_t>(top_k));
  if (top_p < 1.0) {
    double total = 0.0;
    for (const int64_t id : order) total += static_cast<double>(row.masses[static_cast<size_t>(id)]);
    double sum = 0.0;
    size_t count = 0;
    while (count < order.size() && (count == 0 || sum < top_p * total))
      sum += static_cast<double>(row.masses[static_cast<size_t>(order[count++])]);
    order.resize(count);
  }
  std::sort(order.begin(), order.end());
  return order;
}

TEST(Truncation, EqualsSorting) {
  at::manual_seed(1);
  with_every_cpu([] {
    Truncation truncation;
    for (const int64_t n : {1, 2, 63, 64, 65, 1000, 20000}) {
      for (const double spread : {0.01, 1.0, 4.0, 30.0}) {
        for (const double rounding : {0.0, 0.5}) {
          const Row row = make_row(random_logits(n, spread, rounding));
          for (const int64_t top_k : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{100}, n}) {
            for (const double top_p : {1e-9, 0.37, 0.9, 0.99}) {
              EXPECT_EQ(ids_of(truncation.keep(row.logits.data(), row.masses.data(), n, row.total, top_k, top_p)),
                        kept_by_sorting(row, top_k, top_p))
                  << "n " << n << ", spread " << spread << ", rounding " << rounding << ", top_k " << top_k
                  << ", top_p " << top_p;
            }
          }
        }
      }
    }
  });
}

TEST(Truncation, KeepsTheLowestIdsOfManyEqualOnes) {
  Truncation truncation;
  const Row row = make_row(std::vector<float>(1000, -3.0f));
  const auto first = [](int64_t count) {
    std::vector<int64_t> ids(static_cast<size_t>(count));
    std::iota(ids.begin(), ids.end(), 0);
    return ids;
  };
  EXPECT_EQ(ids_of(truncation.keep(row.logits.data(), row.masses.data(), 1000, row.total, 10, 1.0)), first(10));
  EXPECT_EQ(ids_of(truncation.keep(row.logits.data(), row.masses.data(), 1000, row.total, 0, 0.25)), first(250));
  EXPECT_EQ(ids_of(truncation.keep(row.logits.data(), row.masses.data(), 1000, row.total, 40, 0.25)), first(10));
}

TEST(Truncation, CountsMaskedIdsLast) {
  Truncation truncation;
  std::vector<float> logits(200, -std::numeric_limits<float>::infinity());
  logits[150] = 1.0f;
  logits[20] = 0.0f;
  const Row row = make_row(logits);
  EXPECT_EQ(ids_of(truncation.keep(row.logits.data(), row.masses.data(), 200, row.total, 2, 1.0)),
            (std::vector<int64_t>{20, 150}));
  EXPECT_EQ(ids_of(truncation.keep(row.logits.data(), row.masses.data(), 200, row.total, 0, 0.999)),
            (std::vector<int64_t>{20, 150}));
}

}  // namespace
}  // namespace grpo::kernels
