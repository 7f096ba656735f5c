#include "trainer/divide_prompts.h"

#include <gtest/gtest.h>

#include "support/thread_ranks.h"

namespace grpo::trainer {
namespace {

TEST(DividePrompts, SharesOfPromptsCoverThemAll) {
  for (const int64_t ranks : {1, 2, 3, 7}) {
    std::vector<std::pair<size_t, size_t>> shares(static_cast<size_t>(ranks));
    dist::run_ranks(ranks, [&](dist::Communicator& communicator) {
      shares[static_cast<size_t>(communicator.rank())] = share_of(5, communicator);
    });
    size_t next = 0;
    for (const auto& [first, last] : shares) {
      EXPECT_EQ(first, next);
      next = last;
    }
    EXPECT_EQ(next, 5u);
  }
}

}  // namespace
}  // namespace grpo::trainer
