#include "grpo/data/sampler.h"

#include <gmock/gmock.h>

#include <numeric>
#include <set>

namespace grpo::data {
namespace {

// The problems of the draws first, ..., first + count - 1.
std::vector<int64_t> rows_of(PromptSampler& sampler, uint64_t first, uint64_t count) {
  std::vector<int64_t> rows;
  for (uint64_t draw = first; draw < first + count; ++draw) rows.push_back(sampler.row_of(draw));
  return rows;
}

TEST(PromptSampler, ShowsEveryPromptOnceAnEpoch) {
  PromptSampler sampler(97, 5, true);
  for (uint64_t epoch = 0; epoch < 4; ++epoch) {
    const auto rows = rows_of(sampler, epoch * 97, 97);
    const std::set<int64_t> distinct(rows.begin(), rows.end());
    EXPECT_EQ(distinct.size(), 97U);
    EXPECT_EQ(*distinct.begin(), 0);
    EXPECT_EQ(*distinct.rbegin(), 96);
  }
}

TEST(PromptSampler, ShufflesEveryEpochAnotherWayAndBySeed) {
  PromptSampler sampler(50, 5, true);
  PromptSampler other_seed(50, 6, true);
  const auto first = rows_of(sampler, 0, 50);
  EXPECT_NE(first, rows_of(sampler, 50, 50));
  EXPECT_NE(first, rows_of(other_seed, 0, 50));
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
}

TEST(PromptSampler, IsInFileOrderWithoutShuffle) {
  PromptSampler sampler(3, 5, false);
  EXPECT_THAT(rows_of(sampler, 1, 6), ::testing::ElementsAre(1, 2, 0, 1, 2, 0));
}

// A run that stops and starts again has nothing but the number of the next draw; a piece may cross an epoch's end.
TEST(PromptSampler, ResumesFromTheDrawNumberAlone) {
  PromptSampler whole(23, 9, true);
  const auto expected = rows_of(whole, 0, 120);
  std::vector<int64_t> pieces;
  for (uint64_t next = 0; next < 120; next += 8) {
    PromptSampler fresh(23, 9, true);
    const auto piece = rows_of(fresh, next, 8);
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(pieces, expected);
}

TEST(PromptSampler, OnePromptIsShownForEver) {
  PromptSampler sampler(1, 3, true);
  EXPECT_THAT(rows_of(sampler, 5, 3), ::testing::ElementsAre(0, 0, 0));
}

TEST(PromptSampler, RefusesAnEmptySet) { EXPECT_THROW(PromptSampler(0, 1, true), std::logic_error); }

TEST(NumSteps, IsTheWholeNumberOfStepsInTheEpochs) {
  EXPECT_EQ(num_steps(10, 7500, 256), 292);  // 292.97
  EXPECT_EQ(num_steps(1, 31, 32), 0);
  EXPECT_EQ(num_steps(1, 32, 32), 1);
  EXPECT_EQ(num_steps(0.5, 64, 32), 1);
  EXPECT_EQ(num_steps(0.1, 30, 1), 3);  // 0.1 * 30 is 3.0000000000000004 or just under, by rounding
  EXPECT_EQ(num_steps(0.7, 10, 7), 1);
  EXPECT_EQ(num_steps(0.29, 100, 1), 29);  // 28.999999999999996 in doubles
}

}  // namespace
}  // namespace grpo::data
