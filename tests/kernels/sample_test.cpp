#include "grpo/kernels/sample.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "grpo/base/error.h"

namespace grpo::kernels {
namespace {

using ::testing::HasSubstr;

at::Tensor random_logits(int64_t rows, int64_t n) {
  auto generator = at::detail::createCPUGenerator(21);
  return at::randn({rows, n}, generator, at::TensorOptions(at::kFloat)) * 4.0;
}

int64_t draw(const std::vector<float>& logits, SampleParams params) {
  return sample_tokens(at::tensor(logits, at::kFloat).unsqueeze(0), {params}).ids[0];
}

TEST(SampleTokens, LogProbsAreThoseOfTheSoftmax) {
  for (const int64_t n : {1, 15, 512, 513, 5003}) {
    const auto logits = random_logits(3, n);
    for (const double temperature : {0.5, 1.0, 1.7}) {
      const auto sampled = sample_tokens(logits, {{.temperature = temperature, .uniform = 0.1},
                                                  {.temperature = temperature, .uniform = 0.5},
                                                  {.temperature = temperature, .uniform = 0.999999}});
      const auto expected = at::log_softmax(logits.to(at::kDouble) / temperature, -1);
      for (int64_t r = 0; r < 3; ++r) {
        const auto i = static_cast<size_t>(r);
        EXPECT_NEAR(sampled.log_probs[i], expected[r][sampled.ids[i]].item<double>(), 4e-6) << n;
      }
    }
  }
}

// p = 0.1, 0.2, 0.3, 0.4: the running sums are 0.1, 0.3, 0.6, 1.
TEST(SampleTokens, InvertsTheCumulativeDistributionInIdOrder) {
  const std::vector<float> logits = {std::log(0.1f), std::log(0.2f), std::log(0.3f), std::log(0.4f)};
  EXPECT_EQ(draw(logits, {.uniform = 0.0}), 0);
  EXPECT_EQ(draw(logits, {.uniform = 0.09}), 0);
  EXPECT_EQ(draw(logits, {.uniform = 0.11}), 1);
  EXPECT_EQ(draw(logits, {.uniform = 0.59}), 2);
  EXPECT_EQ(draw(logits, {.uniform = 0.61}), 3);
  EXPECT_EQ(draw(logits, {.uniform = std::nextafter(1.0, 0.0)}), 3);
}

TEST(SampleTokens, TopKKeepsTheLikeliestAndBreaksTiesByLowerId) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f, 2.0f, 2.0f};
  for (double u = 0.0; u < 1.0; u += 0.01) {
    const auto id = draw(logits, {.top_k = 3, .uniform = u});
    EXPECT_TRUE(id == 1 || id == 2 || id == 3) << id;
  }
  EXPECT_EQ(draw(logits, {.top_k = 1, .uniform = 0.99}), 1);
}

// p = 0.5, 0.3, 0.15, 0.05: top_p 0.7 keeps {0.5, 0.3}, and 0.5 / 0.8 = 0.625 divides them.
TEST(SampleTokens, TopPKeepsTheSmallestSetThatReachesIt) {
  const std::vector<float> logits = {std::log(0.05f), std::log(0.5f), std::log(0.15f), std::log(0.3f)};
  EXPECT_EQ(draw(logits, {.top_p = 0.7, .uniform = 0.62}), 1);
  EXPECT_EQ(draw(logits, {.top_p = 0.7, .uniform = 0.63}), 3);
  EXPECT_EQ(draw(logits, {.top_p = 0.49, .uniform = 0.99}), 1);
}

TEST(SampleTokens, TopPAgreesWithAFullSortOnLargeRows) {
  const auto logits = random_logits(1, 3000) * 0.2;  // flat: hundreds of ids are kept
  const auto p = at::softmax(logits.to(at::kDouble), -1)[0];
  const auto [sorted, order] = p.sort(0, true);
  const auto kept = (sorted.cumsum(0) - sorted < 0.8).sum().item<int64_t>();
  std::vector<bool> allowed(3000, false);
  for (int64_t i = 0; i < kept; ++i) allowed[static_cast<size_t>(order[i].item<int64_t>())] = true;
  for (double u = 0.0005; u < 1.0; u += 0.001) {
    EXPECT_TRUE(allowed[static_cast<size_t>(sample_tokens(logits, {{.top_p = 0.8, .uniform = u}}).ids[0])]);
  }
}

TEST(SampleTokens, TemperatureZeroIsGreedyWithRawLogProbs) {
  const auto logits = at::tensor(std::vector<float>{1.0f, 4.0f, 4.0f}, at::kFloat).unsqueeze(0);
  const auto sampled = sample_tokens(logits, {{.temperature = 0.0, .uniform = 0.99}});
  EXPECT_EQ(sampled.ids[0], 1);
  EXPECT_NEAR(sampled.log_probs[0], at::log_softmax(logits, -1)[0][1].item<double>(), 1e-6);
}

TEST(SampleTokens, NeverDrawsAMaskedId) {
  const float out = -std::numeric_limits<float>::infinity();
  for (double u = 0.0; u < 1.0; u += 0.05) EXPECT_EQ(draw({out, 0.0f, out}, {.uniform = u}), 1);
}

TEST(SampleTokens, NamesTheRowWhoseLogitsAreNotNumbers) {
  auto logits = at::zeros({2, 3});
  logits[1][2] = std::numeric_limits<float>::quiet_NaN();
  try {
    sample_tokens(logits, {{}, {}});
    FAIL() << "NaN was sampled";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("row 1"));
  }
}

TEST(SampleTokens, ARowDoesNotDependOnTheOthers) {
  const auto logits = random_logits(40, 700);
  std::vector<SampleParams> params;
  for (int i = 0; i < 40; ++i) params.push_back({.uniform = (i + 0.5) / 40.0});
  const auto all = sample_tokens(logits, params);
  for (int64_t r = 0; r < 40; ++r) {
    const auto i = static_cast<size_t>(r);
    const auto one = sample_tokens(logits.narrow(0, r, 1), {params[i]});
    EXPECT_EQ(one.ids[0], all.ids[i]);
    EXPECT_EQ(one.log_probs[0], all.log_probs[i]);
  }
}

}  // namespace
}  // namespace grpo::kernels
