#include "kernels/cuda/while_used.h"

#include <gtest/gtest.h>

namespace grpo::kernels::cuda {
namespace {

struct Numbered {
  inline static int made = 0;
  const int number = ++made;
};

TEST(WhileUsed, IsOneObjectForAllWhoUseItTogether) {
  WhileUsed<Numbered> shared;
  auto first = shared.get();
  const auto second = shared.get();
  EXPECT_EQ(first, second);
  first.reset();
  EXPECT_EQ(shared.get(), second);  // the second one still uses it
}

TEST(WhileUsed, IsAnotherObjectAfterATimeWithoutUsers) {
  WhileUsed<Numbered> shared;
  const int first = shared.get()->number;
  const auto second = shared.get();
  EXPECT_NE(second->number, first);
}

TEST(WhileUsed, IsUsedNoMoreWhenItsUserWasNeverFinished) {
  WhileUsed<Numbered> shared;
  struct Unfinished {
    explicit Unfinished(WhileUsed<Numbered>& from) : used(from.get()), number(used->number) { throw number; }
    std::shared_ptr<Numbered> used;
    int number;
  };
  int first = 0;
  try {
    const Unfinished user(shared);
  } catch (const int number) {
    first = number;
  }
  EXPECT_NE(shared.get()->number, first);
}

}  // namespace
}  // namespace grpo::kernels::cuda
