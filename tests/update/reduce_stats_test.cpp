#include "update/reduce_stats.h"

#include <gtest/gtest.h>

#include "support/thread_ranks.h"

namespace grpo::update {
namespace {

TEST(ReduceStats, SumsOfAnUpdateAreThoseOfAllRanks) {
  dist::run_ranks(3, [](dist::Communicator& communicator) {
    const auto rank = static_cast<double>(communicator.rank());
    UpdateStats stats{.figures = {{"loss", algo::Fold::kSum, rank},
                                  {"ratio/max", algo::Fold::kMax, rank},
                                  {"entropy", algo::Fold::kMean, 1.0},
                                  {"kl/sampler", algo::Fold::kLargestMean, rank}},
                      .tokens = communicator.rank() + 1};
    reduce(stats, communicator);
    EXPECT_EQ(stats.tokens, 6);
    EXPECT_EQ(stats.figure("loss"), 3.0);
    EXPECT_EQ(stats.figure("ratio/max"), 2.0);
    EXPECT_EQ(stats.figure("entropy"), 3.0);
    EXPECT_EQ(stats.figure("kl/sampler"), 3.0);
  });
}

}  // namespace
}  // namespace grpo::update
