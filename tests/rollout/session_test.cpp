// Requests that join a rollout under way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "grpo/rollout/engine.h"
#include "rollout/small_engine.h"

namespace grpo::rollout {
namespace {

using testing::expect_equal;
using testing::kGeneration;
using testing::kKey;
using testing::requests_of;
using testing::small_model;

constexpr Demand kDemand{.longest = 100, .sequences = 50};

std::vector<Group> by_number(std::vector<Group> groups) {
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.request < b.request; });
  return groups;
}

// Takes all that is whole after every step; joins(steps) submits more, and says whether still more will come.
template <typename Joins>
std::vector<Group> run(Session& session, Joins&& joins) {
  std::vector<Group> groups;
  int64_t steps = 0;
  for (bool more = true; more; ++steps) {
    const bool joining = joins(steps);
    more = session.advance() || joining;
    for (Group& group : session.take()) groups.push_back(std::move(group));
  }
  return groups;
}

TEST(Session, GivesTheSameWhenRequestsJoinLate) {
  const auto model = small_model();
  const auto requests = requests_of({6, 9, 4, 12, 7, 30}, 3);
  Engine engine(*model, {.page_size = 4, .max_sequences = 5, .exact = true});
  const auto expected = engine.generate(requests, kGeneration, kKey);
  for (const int64_t apart : {0, 1, 7, 1000}) {
    const auto session = engine.begin(kDemand, kGeneration, kKey);
    size_t next = 0;
    const auto groups = run(*session, [&](int64_t step) {
      while (next < requests.size() && step >= static_cast<int64_t>(next) * std::min<int64_t>(apart, 60)) {
        EXPECT_EQ(session->submit(requests[next]), next);
        ++next;
      }
      return next < requests.size();
    });
    EXPECT_EQ(session->open(), 0u);
    expect_equal(expected, by_number(groups));
  }
}

// More samples of a prompt whose first ones turned out to be of interest.
TEST(Session, ExtendsAGroupThatIsWholeAlready) {
  const auto model = small_model();
  auto whole = requests_of({9}, 6);
  Engine engine(*model, {.exact = true});
  const auto expected = engine.generate(whole, kGeneration, kKey);
  auto first = whole[0], second = whole[0];
  first.num_samples = 2;
  second.first_sample = 2;
  second.num_samples = 4;
  const auto session = engine.begin(kDemand, kGeneration, kKey);
  session->submit(first);
  while (session->advance()) {
  }
  auto groups = session->take();
  ASSERT_EQ(groups.size(), 1u);
  session->submit(second);
  EXPECT_EQ(session->open(), 1u);
  while (session->advance()) {
  }
  const auto rest = session->take();
  ASSERT_EQ(rest.size(), 1u);
  EXPECT_EQ(rest[0].request, 1u);
  groups[0].completions.insert(groups[0].completions.end(), rest[0].completions.begin(), rest[0].completions.end());
  expect_equal(expected, groups);
}

TEST(Session, TakesGroupsAsTheyBecomeWhole) {
  const auto model = small_model();
  Engine engine(*model, {.exact = true});
  const auto session = engine.begin(kDemand, kGeneration, kKey);
  auto none = requests_of({4}, 0)[0];
  session->submit(none);  // of which there is nothing to sample
  EXPECT_EQ(session->open(), 0u);
  EXPECT_EQ(session->take().size(), 1u);
  EXPECT_FALSE(session->advance());
  for (const auto& request : requests_of({6, 9}, 2)) session->submit(request);
  size_t taken = 0;
  while (session->open() > 0) {
    ASSERT_TRUE(session->advance());
    const auto groups = session->take();
    for (const Group& group : groups) EXPECT_EQ(group.completions.size(), 2u);
    taken += groups.size();
  }
  EXPECT_EQ(taken, 2u);
  EXPECT_GT(session->stats().decode_steps, 0);
  EXPECT_TRUE(session->take().empty());
}

TEST(Session, RefusesWhatItHasNoRoomForAndASecondOne) {
  const auto model = small_model();
  Engine engine(*model, {});
  {
    const auto session = engine.begin({.longest = 10, .sequences = 2}, kGeneration, kKey);
    EXPECT_THROW(session->submit(requests_of({200}, 1)[0]), std::logic_error);
    EXPECT_THROW(engine.begin(kDemand, kGeneration, kKey), std::logic_error);
    EXPECT_THROW(engine.generate(requests_of({4}, 1), kGeneration, kKey), std::logic_error);
  }
  EXPECT_EQ(engine.generate(requests_of({4}, 1), kGeneration, kKey).size(), 1u);
}

}  // namespace
}  // namespace grpo::rollout
