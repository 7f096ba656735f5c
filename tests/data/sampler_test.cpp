#include "grpo/data/sampler.h"

#include <gmock/gmock.h>

#include <map>
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

// What a run without weights drew before there were sets, and what old checkpoints go on with.
TEST(PromptSampler, OfSetsOfWeightOneIsThatOfOneSet) {
  for (const bool shuffle : {true, false}) {
    PromptSampler one(20, 5, shuffle);
    PromptSampler three({{.rows = 7}, {.rows = 0}, {.rows = 13}}, 5, shuffle);
    EXPECT_EQ(rows_of(one, 0, 100), rows_of(three, 0, 100));
  }
  PromptSampler shuffled(20, 5, true);
  EXPECT_EQ(rows_of(shuffled, 20, 20), base::permutation({.seed = 5, .stream = base::stream_id("shuffle")}, 1, 20));
}

std::map<int64_t, int> counts_of(PromptSampler& sampler, uint64_t first, uint64_t count) {
  std::map<int64_t, int> counts;
  for (const int64_t row : rows_of(sampler, first, count)) ++counts[row];
  return counts;
}

TEST(PromptSampler, ShowsTheRowsOfASetAsOftenAsItsWeightSays) {
  PromptSampler sampler({{.rows = 3, .weight = 2.0}, {.rows = 10, .weight = 0.5}, {.rows = 4, .weight = 1.0}}, 5, true);
  ASSERT_EQ(sampler.epoch_length(), 6 + 5 + 4);
  for (uint64_t epoch = 0; epoch < 4; ++epoch) {
    const auto counts = counts_of(sampler, epoch * 15, 15);
    for (const auto& [row, count] : counts) EXPECT_EQ(count, row < 3 ? 2 : 1) << row;
    EXPECT_EQ(counts.size(), 3U + 5U + 4U);
  }
  const auto two_epochs = counts_of(sampler, 30, 30);
  EXPECT_EQ(two_epochs.size(), 17U);  // half of the second set, and then its other half
  for (int64_t row = 3; row < 13; ++row) EXPECT_EQ(two_epochs.at(row), 1);
}

TEST(PromptSampler, DrawsNoRowAgainBeforeTheOthersOfItsSetAreDrawn) {
  PromptSampler sampler({{.rows = 10, .weight = 1.7}, {.rows = 2}}, 9, true);
  for (uint64_t epochs = 1; epochs < 12; ++epochs) {
    const auto counts = counts_of(sampler, 0, epochs * static_cast<uint64_t>(sampler.epoch_length()));
    for (int64_t row = 0; row < 10; ++row) {
      EXPECT_GE(counts.at(row), static_cast<int>(17 * epochs / 10));
      EXPECT_LE(counts.at(row), static_cast<int>((17 * epochs + 9) / 10));
    }
  }
}

TEST(PromptSampler, WithWeightsResumesFromTheDrawNumberAloneAndDependsOnTheSeed) {
  const std::vector<SetShare> sets = {{.rows = 5, .weight = 1.5}, {.rows = 9, .weight = 0.3}};
  PromptSampler whole(sets, 9, true), other(sets, 10, true);
  const auto rows = rows_of(whole, 0, 60);
  for (const uint64_t start : {uint64_t{0}, uint64_t{7}, uint64_t{31}}) {
    PromptSampler fresh(sets, 9, true);
    EXPECT_EQ(rows_of(fresh, start, 20), std::vector<int64_t>(rows.begin() + static_cast<std::ptrdiff_t>(start),
                                                              rows.begin() + static_cast<std::ptrdiff_t>(start) + 20));
  }
  EXPECT_NE(rows_of(other, 0, 60), rows);
}

TEST(PromptSampler, InFileOrderGoesThroughASetSeveralTimesOrInParts) {
  PromptSampler sampler({{.rows = 2, .weight = 2.0}, {.rows = 4, .weight = 0.5}}, 5, false);
  EXPECT_EQ(rows_of(sampler, 0, 12), (std::vector<int64_t>{0, 1, 0, 1, 2, 3, 0, 1, 0, 1, 4, 5}));
}

TEST(PromptSampler, ShowsSomethingOfEverySet) {
  PromptSampler sampler({{.rows = 4, .weight = 0.01}, {.rows = 3}}, 5, true);
  EXPECT_EQ(sampler.epoch_length(), 4);
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
