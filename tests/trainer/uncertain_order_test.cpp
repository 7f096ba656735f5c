#include "trainer/uncertain_order.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <numeric>

namespace grpo::trainer {
namespace {

// Prompts whose rows begin at first_row, as if others had been left out, so that a prompt's index is not its row.
std::vector<Prompt> prompts_of(int64_t count, int64_t first_row = 0) {
  std::vector<Prompt> prompts;
  for (int64_t i = 0; i < count; ++i) {
    prompts.emplace_back();
    prompts.back().row = first_row + i;
  }
  return prompts;
}

std::vector<int64_t> uncertain_rows(const AccuracyTracker& accuracy, int64_t count, uint64_t seed, uint64_t first_draw,
                                    size_t draws, int64_t first_row = 0) {
  const auto prompts = prompts_of(count, first_row);
  std::vector<int64_t> rows;
  for (const size_t index : uncertain_prompts(accuracy, prompts, {}, seed, first_draw, draws))
    rows.push_back(prompts[index].row);
  return rows;
}

// Rows 0 ... 9 are always right, 10 ... 19 half of the time, 20 ... 29 never.
AccuracyTracker known() {
  AccuracyTracker tracker;
  for (int64_t row = 0; row < 30; ++row) {
    for (int visit = 0; visit < 30; ++visit) tracker.record(row, row < 10 ? 8 : row < 20 ? 4 : 0, 8);
  }
  return tracker;
}

TEST(UncertainOrder, AsksProblemsOfMiddlingAccuracyMoreOftenAndForgetsNone) {
  const auto tracker = known();
  std::map<int64_t, int> asked;
  constexpr int kSteps = 2000;
  for (uint64_t step = 0; step < kSteps; ++step) {
    for (const int64_t row : uncertain_rows(tracker, 30, 1, step * 6, 6)) ++asked[row / 10];
  }
  // The weights are about 0.24 in the middle third, and 0.01 (the least) to 0.04 in the others.
  EXPECT_GT(asked[1], 4 * asked[0]);
  EXPECT_GT(asked[1], 4 * asked[2]);
  std::map<int64_t, int> rows;
  for (uint64_t step = 0; step < kSteps; ++step) {
    for (const int64_t row : uncertain_rows(tracker, 30, 1, step * 6, 6)) ++rows[row];
  }
  EXPECT_EQ(rows.size(), 30u);
  for (const auto& [row, times] : rows) EXPECT_GT(times, kSteps * 6 / 30 / 50) << row;
}

TEST(UncertainOrder, KnowsAPromptByItsRowWhereOthersAreLeftOut) {
  const auto tracker = known();
  std::map<int64_t, int> asked;
  for (uint64_t step = 0; step < 2000; ++step) {
    for (const int64_t row : uncertain_rows(tracker, 20, 1, step * 4, 4, /*first_row=*/10)) ++asked[row / 10];
  }
  EXPECT_EQ(asked[0], 0);
  EXPECT_GT(asked[1], 4 * asked[2]);
}

TEST(UncertainOrder, AsksASetByItsWeightToo) {
  auto prompts = prompts_of(20);
  for (size_t i = 10; i < 20; ++i) prompts[i].set = 1;
  std::vector<data::TrainSet> sets(2);
  sets[1].weight = 5.0;
  int first = 0, second = 0;
  for (uint64_t step = 0; step < 2000; ++step) {
    for (const size_t i : uncertain_prompts({}, prompts, sets, 1, step * 2, 2))
      ++(prompts[i].set == 0 ? first : second);
  }
  EXPECT_GT(second, 3 * first);
}

TEST(UncertainOrder, AsksAllAlikeWhileNothingIsKnown) {
  std::vector<int> asked(20, 0);
  constexpr int kSteps = 4000;
  for (uint64_t step = 0; step < kSteps; ++step) {
    for (const int64_t row : uncertain_rows({}, 20, 7, step * 4, 4)) ++asked[static_cast<size_t>(row)];
  }
  // 800 of each are expected, with a deviation of about 25.
  for (const int times : asked) EXPECT_NEAR(times, kSteps * 4 / 20, 150);
}

TEST(UncertainOrder, DrawsEveryRowOnceBeforeAnyTwice) {
  const auto rows = uncertain_rows(known(), 30, 3, 0, 75);
  for (size_t round = 0; round < 2; ++round) {
    std::vector<int64_t> once(rows.begin() + static_cast<int64_t>(round) * 30,
                              rows.begin() + static_cast<int64_t>(round + 1) * 30);
    std::sort(once.begin(), once.end());
    std::vector<int64_t> all(30);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(once, all);
  }
}

TEST(UncertainOrder, DependsOnSeedAndDrawAloneAndLongerOnesBeginAlike) {
  const auto tracker = known();
  const auto rows = uncertain_rows(tracker, 30, 3, 12, 10);
  EXPECT_EQ(uncertain_rows(tracker, 30, 3, 12, 10), rows);
  auto longer = uncertain_rows(tracker, 30, 3, 12, 40);
  longer.resize(10);
  EXPECT_EQ(longer, rows);
  EXPECT_NE(uncertain_rows(tracker, 30, 4, 12, 10), rows);
  EXPECT_NE(uncertain_rows(tracker, 30, 3, 13, 10), rows);
}

}  // namespace
}  // namespace grpo::trainer
