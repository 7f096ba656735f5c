#include "trainer/asks.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <random>

#include "trainer/draws.h"

namespace grpo::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

RolloutConfig resampling(int64_t prompts, int64_t size, int64_t most) {
  RolloutConfig config{.prompts_per_step = prompts, .group_size = size};
  config.resample.max_rollouts = most;
  return config;
}

RolloutConfig extending(int64_t prompts, std::optional<int64_t> most = {}) {
  RolloutConfig config{.prompts_per_step = prompts};
  config.adaptive = {.mode = AdaptiveMode::kExtend, .choices = {2, 4, 8}, .max_rollouts = most};
  return config;
}

// The sizes of `draws` draws, all of which have this size.
Asks::SizeOf sizes(size_t draws, int64_t size) {
  return [=](size_t draw) { return draw < draws ? std::optional(size) : std::nullopt; };
}

// Runs a step whose groups end in a random order. live: whether the group of each draw is live. Returns the draws that
// were asked.
std::vector<size_t> asked(const RolloutConfig& config, const std::vector<bool>& live, std::mt19937& order) {
  Asks asks(config, sizes(live.size(), config.group_size), /*by_rounds=*/false);
  std::vector<size_t> open, all;
  for (size_t draw = 0; draw < static_cast<size_t>(config.prompts_per_step); ++draw) open.push_back(draw);
  all = open;
  while (!open.empty()) {
    std::swap(open[order() % open.size()], open.back());
    const size_t ended = open.back();
    open.pop_back();
    if (live[ended]) continue;
    if (const auto ask = asks.after({.draw = ended, .size = config.group_size})) {
      EXPECT_EQ(ask->first_sample, 0);
      EXPECT_EQ(ask->count, config.group_size);
      open.push_back(ask->draw);
      all.push_back(ask->draw);
    }
  }
  return all;
}

// How many draws have to be asked by definition: the first ones up to the one that completes prompts_per_step live
// groups, or all that the budget allows.
size_t shortest(const std::vector<bool>& live, int64_t wanted) {
  int64_t found = 0;
  for (size_t draw = 0; draw < live.size(); ++draw) {
    found += live[draw] ? 1 : 0;
    if (found == wanted) return draw + 1;
  }
  return live.size();
}

TEST(Asks, TakesTheShortestRunOfDrawsInWhateverOrderGroupsEnd) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<bool> live(8 + random() % 40);
    for (size_t i = 0; i < live.size(); ++i) live[i] = random() % 3 == 0;
    const auto config = resampling(8, 2, static_cast<int64_t>(live.size()) * 2);
    auto draws = asked(config, live, random);
    std::sort(draws.begin(), draws.end());
    ASSERT_EQ(draws.size(), shortest(live, 8));
    for (size_t i = 0; i < draws.size(); ++i) ASSERT_EQ(draws[i], i);
  }
}

TEST(Asks, TakesTheSameFreshPromptsByRounds) {
  std::mt19937 random(6);
  for (int round = 0; round < 300; ++round) {
    std::vector<bool> live(8 + random() % 40);
    for (size_t i = 0; i < live.size(); ++i) live[i] = random() % 3 == 0;
    const auto config = resampling(8, 2, static_cast<int64_t>(live.size()) * 2);
    Asks asks(config, sizes(live.size(), 2), /*by_rounds=*/true);
    EXPECT_FALSE(asks.after({.draw = 0, .size = 2}));
    std::vector<size_t> now = {0, 1, 2, 3, 4, 5, 6, 7};
    size_t count = 0;
    while (!now.empty()) {
      std::vector<Tied> tied;
      for (const size_t draw : now) {
        EXPECT_EQ(draw, count++);
        if (!live[draw]) tied.push_back({.draw = draw, .size = 2});
      }
      now.clear();
      for (const Ask& ask : asks.after_round(tied)) now.push_back(ask.draw);
    }
    ASSERT_EQ(count, shortest(live, 8));
  }
}

TEST(Asks, TakesFreshPromptsFromANumberThatRanksShare) {
  const auto config = resampling(2, 2, 12);
  size_t next = 2;
  const auto take = [&next] { return next++; };
  Asks one(config, sizes(6, 2), false, take), other(config, sizes(6, 2), false, take);
  EXPECT_EQ(one.after({.draw = 0, .size = 2})->draw, 2u);
  EXPECT_EQ(other.after({.draw = 1, .size = 2})->draw, 3u);
  EXPECT_EQ(one.after({.draw = 2, .size = 2})->draw, 4u);
  EXPECT_EQ(one.after({.draw = 4, .size = 2})->draw, 5u);
  EXPECT_FALSE(other.after({.draw = 3, .size = 2}));  // the budget is used
}

TEST(Draws, AreMadeWhenTheyAreAskedForAsFarAsRolloutsAllow) {
  std::vector<size_t> made;
  Draws draws(
      [&made](size_t number) -> Draw {
        made.push_back(number);
        return {.prompt = {}, .ordinal = 100 + number, .size = number == 3 ? 8 : 2};
      },
      /*prompts=*/2, /*most_rollouts=*/12);
  EXPECT_EQ(draws.at(1)->ordinal, 101u);
  EXPECT_THAT(made, ElementsAre(0, 1));
  const Draw* first = draws.at(0);
  EXPECT_EQ(draws.at(2)->size, 2);
  EXPECT_EQ(draws.at(3), nullptr);  // 6 and 8 are more than 12
  EXPECT_EQ(draws.at(4), nullptr);
  EXPECT_EQ(draws.at(0), first);
  EXPECT_THAT(made, ElementsAre(0, 1, 2, 3));
}

TEST(Draws, HoldTheStepsPromptsInAnyCase) {
  Draws draws([](size_t) -> Draw { return {.prompt = {}, .ordinal = 0, .size = 8}; }, 3, 1);
  EXPECT_NE(draws.at(2), nullptr);
  EXPECT_EQ(draws.at(3), nullptr);
}

TEST(Asks, ExtendsATiedGroupToTheNextChoice) {
  const auto config = extending(4);
  Asks asks(config, sizes(4, 2), false);
  EXPECT_TRUE(asks.at_once());
  const auto first = asks.after({.draw = 3, .size = 2});
  ASSERT_TRUE(first);
  EXPECT_EQ(first->draw, 3u);
  EXPECT_EQ(first->first_sample, 2);
  EXPECT_EQ(first->count, 2);
  EXPECT_EQ(asks.after({.draw = 3, .size = 4})->count, 4);
  EXPECT_FALSE(asks.after({.draw = 3, .size = 8}));
}

TEST(Asks, ExtendsInTheOrderOfDrawsWhereTheBudgetMayEnd) {
  const auto config = extending(4, 14);
  Asks asks(config, sizes(4, 2), false);
  EXPECT_TRUE(asks.by_rounds());
  EXPECT_FALSE(asks.after({.draw = 0, .size = 2}));
  std::vector<size_t> draws;
  for (const Ask& ask : asks.after_round({{0, 2}, {2, 2}, {3, 2}})) draws.push_back(ask.draw);
  EXPECT_THAT(draws, ElementsAre(0, 2, 3));  // 8 + 3 * 2 = 14
  EXPECT_THAT(asks.after_round({{0, 4}, {2, 4}}), IsEmpty());
}

TEST(Asks, AsksForNothingMoreWithFixedGroups) {
  const RolloutConfig config{.prompts_per_step = 2, .group_size = 2};
  Asks asks(config, sizes(2, 2), false);
  EXPECT_FALSE(asks.at_once() || asks.by_rounds());
  EXPECT_FALSE(asks.after({.draw = 0, .size = 2}));
  EXPECT_THAT(asks.after_round({{0, 2}}), IsEmpty());
}

}  // namespace
}  // namespace grpo::trainer
