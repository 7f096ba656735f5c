#include "grpo/kernels/sample.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "grpo/base/random.h"
#include "kernels/every_cpu.h"

namespace grpo::kernels {
namespace {

using ::testing::ElementsAre;
using testing::with_every_cpu;
using testing::with_threads;

struct Drawn {
  std::vector<int64_t> ids;
  std::vector<float> log_probs;
};

Drawn draw(const at::Tensor& logits, const std::vector<SampleParams>& params) {
  const auto sampled = sample_tokens(logits, sample_rows(params));
  const auto* ids = sampled.ids.const_data_ptr<int64_t>();
  const auto* log_probs = sampled.log_probs.const_data_ptr<float>();
  return {.ids = {ids, ids + params.size()}, .log_probs = {log_probs, log_probs + params.size()}};
}

at::Tensor row_of(const std::vector<float>& logits) { return at::tensor(logits).view({1, -1}); }

// The tokens that one row gives for uniforms 0, 1/n, ..., (n - 1)/n.
std::vector<int64_t> sweep(const std::vector<float>& logits, SampleParams params, int n) {
  std::vector<SampleParams> all;
  for (int i = 0; i < n; ++i) {
    params.uniform = static_cast<double>(i) / n;
    all.push_back(params);
  }
  return draw(row_of(logits).expand({n, -1}), all).ids;
}

std::set<int64_t> kept(const std::vector<float>& logits, const SampleParams& params) {
  const auto ids = sweep(logits, params, 2000);
  return {ids.begin(), ids.end()};
}

// By sorting: the k largest (lower id first among equals), then the smallest prefix that reaches top_p.
std::set<int64_t> kept_by_sorting(const std::vector<float>& logits, const SampleParams& params) {
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (params.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(params.top_k)));
  const auto mass = [&](int64_t id) { return std::exp(logits[static_cast<size_t>(id)] / params.temperature); };
  double total = 0.0;
  for (const int64_t id : order) total += mass(id);
  std::set<int64_t> result;
  double sum = 0.0;
  for (const int64_t id : order) {
    if (sum >= params.top_p * total) break;
    result.insert(id);
    sum += mass(id);
  }
  return result;
}

std::vector<float> random_logits(int64_t n, double spread) {
  const auto values = (at::randn({n}) * spread).contiguous();
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + n};
}

TEST(SampleTokens, InvertsTheCumulativeDistributionInIdOrder) {
  with_every_cpu([] {
    const std::vector<float> logits = {std::log(1.0f), std::log(2.0f), std::log(5.0f)};
    // Shares 1/8, 2/8, 5/8. The boundaries themselves may round either way; these uniforms lie inside.
    std::vector<SampleParams> params;
    for (const double u : {0.0, 0.12, 0.13, 0.37, 0.38, 0.999999}) params.push_back({.uniform = u});
    EXPECT_THAT(draw(row_of(logits).expand({6, 3}), params).ids, ElementsAre(0, 0, 1, 1, 2, 2));
  });
}

TEST(SampleTokens, HasTheLogProbOfLogSoftmaxInDouble) {
  at::manual_seed(1);
  with_every_cpu([] {
    for (const int64_t n : {1, 5, 16, 320, 5000, 49155}) {
      for (const double temperature : {0.3, 0.7, 1.0, 1.9}) {
        const auto logits = at::randn({6, n}) * 6 + 20;
        std::vector<SampleParams> params;
        for (int i = 0; i < 6; ++i)
          params.push_back(
              {.temperature = temperature, .top_k = i % 3 * 4, .top_p = 1.0 - 0.1 * i, .uniform = i / 6.0});
        const auto sampled = draw(logits, params);
        const auto expected = at::log_softmax(logits.to(at::kDouble) / temperature, -1);
        for (size_t i = 0; i < 6; ++i) {
          const double log_prob = expected[static_cast<int64_t>(i)][sampled.ids[i]].item<double>();
          EXPECT_NEAR(sampled.log_probs[i], log_prob, 1e-6 * (1.0 + std::abs(log_prob))) << n << " at " << temperature;
        }
      }
    }
  });
}

TEST(SampleTokens, AtTemperatureZeroTakesTheFirstLargestWithItsRawLogProb) {
  const std::vector<float> logits = {1.0f, 4.0f, -2.0f, 4.0f};
  const auto sampled = draw(row_of(logits), {{.temperature = 0.0, .uniform = 0.99}});
  EXPECT_EQ(sampled.ids[0], 1);
  EXPECT_NEAR(sampled.log_probs[0], at::log_softmax(row_of(logits).to(at::kDouble), -1)[0][1].item<double>(), 1e-7);
}

TEST(SampleTokens, KeepsTheKLargestAndTheLowerIdAmongEquals) {
  EXPECT_EQ(kept({2, 3, 2, 1, 2}, {.top_k = 1}), (std::set<int64_t>{1}));
  EXPECT_EQ(kept({2, 3, 2, 1, 2}, {.top_k = 2}), (std::set<int64_t>{0, 1}));
  EXPECT_EQ(kept({2, 3, 2, 1, 2}, {.top_k = 3}), (std::set<int64_t>{0, 1, 2}));
  EXPECT_EQ(kept({2, 3, 2, 1, 2}, {.top_k = 9}), (std::set<int64_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(kept({0.0f, -0.0f, 0.0f}, {.top_k = 2}), (std::set<int64_t>{0, 1}));
}

TEST(SampleTokens, KeepsTheSmallestSetThatReachesTopP) {
  const std::vector<float> logits = {std::log(1.0f), std::log(4.0f), std::log(2.0f), std::log(3.0f)};  // tenths
  EXPECT_EQ(kept(logits, {.top_p = 0.05}), (std::set<int64_t>{1}));
  EXPECT_EQ(kept(logits, {.top_p = 0.39}), (std::set<int64_t>{1}));
  EXPECT_EQ(kept(logits, {.top_p = 0.41}), (std::set<int64_t>{1, 3}));
  EXPECT_EQ(kept(logits, {.top_p = 0.69}), (std::set<int64_t>{1, 3}));
  EXPECT_EQ(kept(logits, {.top_p = 0.71}), (std::set<int64_t>{1, 2, 3}));
  EXPECT_EQ(kept(logits, {.top_k = 2, .top_p = 0.55}), (std::set<int64_t>{1}));  // 4/7 of the two reach it
  EXPECT_EQ(kept({1, 1, 1, 1}, {.top_p = 0.5}), (std::set<int64_t>{0, 1}));
}

TEST(SampleTokens, KeepsTheSameSetAsSorting) {
  at::manual_seed(2);
  for (int trial = 0; trial < 60; ++trial) {
    const int64_t n = 3 + trial * 7;
    auto logits = random_logits(n, 1.0 + trial % 4);
    if (trial % 2 == 0) {
      for (float& x : logits) x = std::round(x);  // many equal ones
    }
    const SampleParams params{
        .temperature = 0.5 + trial % 3 * 0.5, .top_k = trial % 5 * 6, .top_p = 0.3 + trial % 7 * 0.1};
    const auto expected = kept_by_sorting(logits, params);
    const auto found = kept(logits, params);
    // Every token that is drawn may be, and every one likely enough to be met by the sweep is drawn.
    EXPECT_TRUE(std::includes(expected.begin(), expected.end(), found.begin(), found.end())) << "trial " << trial;
    double total = 0.0;
    for (const int64_t id : expected) total += std::exp(logits[static_cast<size_t>(id)] / params.temperature);
    for (const int64_t id : expected) {
      if (std::exp(logits[static_cast<size_t>(id)] / params.temperature) > total / 1000) {
        EXPECT_TRUE(found.contains(id)) << "trial " << trial << ", id " << id;
      }
    }
  }
}

TEST(SampleTokens, NeverDrawsMaskedIds) {
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> logits = {-infinity, 0.0f, -infinity, 1.0f, -infinity};
  for (const auto& params : {SampleParams{}, SampleParams{.top_k = 4}, SampleParams{.top_p = 0.9999}}) {
    EXPECT_EQ(kept(logits, params), (std::set<int64_t>{1, 3}));
  }
}

TEST(SampleTokens, FollowsTheDistributionWithKeyedUniforms) {
  constexpr int kDraws = 40000;
  const std::vector<float> logits = random_logits(24, 1.0);
  std::vector<SampleParams> params;
  for (int i = 0; i < kDraws; ++i) {
    params.push_back({.temperature = 0.8,
                      .uniform = base::uniform({7, base::stream_id("test")}, static_cast<uint64_t>(i / 8),
                                               static_cast<uint32_t>(i % 8), 3)});
  }
  std::vector<double> counts(logits.size());
  for (const int64_t id : draw(row_of(logits).expand({kDraws, -1}), params).ids) ++counts[static_cast<size_t>(id)];
  const auto p = at::softmax(row_of(logits).to(at::kDouble) / 0.8, -1);
  double chi_square = 0.0;
  for (size_t id = 0; id < logits.size(); ++id) {
    const double expected = kDraws * p[0][static_cast<int64_t>(id)].item<double>();
    chi_square += (counts[id] - expected) * (counts[id] - expected) / expected;
  }
  EXPECT_LT(chi_square, 49.7);  // 23 degrees of freedom, one in a thousand
}

TEST(SampleTokens, GivesARowTheSameResultInEveryBatchAndThread) {
  at::manual_seed(3);
  const auto logits = at::randn({40, 3001}) * 3;
  std::vector<SampleParams> params;
  for (int i = 0; i < 40; ++i)
    params.push_back({.temperature = 0.9, .top_k = i % 2 * 30, .top_p = i % 3 == 0 ? 0.9 : 1.0, .uniform = i / 40.0});
  const auto whole = with_threads(3, [&] { return draw(logits, params); });
  const auto single = with_threads(1, [&] { return draw(logits, params); });
  EXPECT_EQ(whole.ids, single.ids);
  EXPECT_EQ(whole.log_probs, single.log_probs);
  for (int64_t i = 0; i < 40; ++i) {
    const auto alone = draw(logits.slice(0, i, i + 1), {params[static_cast<size_t>(i)]});
    EXPECT_EQ(alone.ids[0], whole.ids[static_cast<size_t>(i)]);
    EXPECT_EQ(alone.log_probs[0], whole.log_probs[static_cast<size_t>(i)]);
  }
}

TEST(SampleTokens, ReadsBf16AsFp32) {
  at::manual_seed(4);
  const auto logits = at::randn({3, 500}).to(at::kBFloat16);
  const std::vector<SampleParams> params = {{.uniform = 0.1}, {.uniform = 0.5}, {.uniform = 0.9}};
  EXPECT_EQ(draw(logits, params).log_probs, draw(logits.to(at::kFloat), params).log_probs);
}

TEST(SampleTokens, MarksARowWithoutNumbersAndLeavesTheOthers) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::infinity()}) {
    auto logits = at::zeros({3, 4});
    bad == bad&& bad < 0 ? logits[1].fill_(bad) : logits[1][2].fill_(bad);
    const auto drawn = draw(logits, {{}, {.uniform = 0.9}, {.uniform = 0.9}});
    EXPECT_THAT(drawn.ids, ElementsAre(0, 0, 3));
    EXPECT_FALSE(std::isnan(drawn.log_probs[0]) || std::isnan(drawn.log_probs[2])) << bad;
    EXPECT_TRUE(std::isnan(drawn.log_probs[1])) << bad;
  }
}

// What keep_sampled_ leaves of a row: ids and the log of their share.
struct Left {
  std::set<int64_t> ids;
  double log_share;
};

Left left(const std::vector<float>& logits, int64_t target, const SampleParams& params, at::ScalarType type) {
  auto row = row_of(logits).to(type);
  const auto log_share =
      keep_sampled_(row, at::tensor({target}, at::kLong), params.temperature, params.top_k, params.top_p);
  std::set<int64_t> ids;
  const auto values = row.to(at::kFloat).contiguous();
  for (size_t id = 0; id < logits.size(); ++id) {
    const float value = values.const_data_ptr<float>()[id];
    if (value == -std::numeric_limits<float>::infinity()) continue;
    EXPECT_EQ(value, row_of(logits).to(type).to(at::kFloat)[0][static_cast<int64_t>(id)].item<float>());
    ids.insert(static_cast<int64_t>(id));
  }
  return {ids, log_share.item<double>()};
}

TEST(KeepSampled, LeavesWhatIsDrawnFromAndTheTarget) {
  at::manual_seed(3);
  with_every_cpu([] {
    for (const auto& params :
         {SampleParams{.temperature = 0.7, .top_p = 0.9}, SampleParams{.top_k = 5},
          SampleParams{.temperature = 1.3, .top_k = 20, .top_p = 0.5}, SampleParams{.top_p = 0.01}}) {
      for (const int64_t n : {1, 7, 130, 700}) {
        const auto logits = random_logits(n, 2.0);
        const int64_t target = n / 3;
        auto expected = kept_by_sorting(logits, params);
        expected.insert(target);
        const auto found = left(logits, target, params, at::kFloat);
        EXPECT_EQ(found.ids, expected);
        double share = 0.0, total = 0.0;
        for (int64_t id = 0; id < n; ++id) {
          const double mass = std::exp(logits[static_cast<size_t>(id)] / params.temperature);
          total += mass;
          share += expected.contains(id) ? mass : 0.0;
        }
        EXPECT_NEAR(found.log_share, std::log(share / total), 1e-5);
      }
    }
  });
}

TEST(KeepSampled, DecidesBetweenEqualLogitsAsTheSamplerDoes) {
  const std::vector<float> logits = {1.0f, 2.0f, 2.0f, 2.0f, 0.0f};
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    EXPECT_EQ(left(logits, 1, {.top_k = 2}, type).ids, kept(logits, {.top_k = 2}));
    EXPECT_EQ(left(logits, 4, {.top_k = 2}, type).ids, (std::set<int64_t>{1, 2, 4}));
  }
}

TEST(KeepSampled, LeavesARowWithoutNumbersAsItIs) {
  auto rows = at::zeros({2, 10});
  rows[0][3] = std::numeric_limits<float>::quiet_NaN();
  rows[1].fill_(-std::numeric_limits<float>::infinity());
  const auto before = rows.clone();
  const auto shares = keep_sampled_(rows, at::tensor({0, 0}, at::kLong), 1.0, 0, 0.5);
  EXPECT_TRUE(at::equal(rows.isnan(), before.isnan()));
  EXPECT_EQ(rows[0][9].item<float>(), 0.0f);
  EXPECT_TRUE(shares.isnan().all().item<bool>());
}

}  // namespace
}  // namespace grpo::kernels
