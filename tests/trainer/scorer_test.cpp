#include "trainer/scorer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <optional>
#include <stdexcept>

namespace grpo::trainer {
namespace {

const auto kNever = [](bool) { return false; };

// A job that runs until it is let go.
struct Held {
  std::promise<void> begun, go;
  std::function<void()> job() {
    return [this] {
      begun.set_value();
      go.get_future().wait();
    };
  }
};

TEST(Scorer, RunsEveryJobAndTellsOfProgress) {
  Scorer scorer(2);
  std::atomic<int> done = 0;
  for (int i = 0; i < 20; ++i) scorer.submit([&] { ++done; });
  EXPECT_TRUE(scorer.wait(kNever));
  EXPECT_EQ(done, 20);
  Held held;
  scorer.submit(held.job());
  held.begun.get_future().wait();
  int idle = 0;
  EXPECT_TRUE(scorer.wait([&](bool progress) {
    if (!progress && ++idle == 2) held.go.set_value();
    return false;
  }));
  EXPECT_GE(idle, 2);
}

TEST(Scorer, AWaitThatIsGivenUpLeavesTheJobsThatHaveNotBegun) {
  std::atomic<int> done = 0;
  Held held;
  std::optional<Scorer> scorer(1);
  scorer->submit(held.job());
  for (int i = 0; i < 20; ++i) scorer->submit([&] { ++done; });
  held.begun.get_future().wait();
  EXPECT_FALSE(scorer->wait([&](bool) { return !scorer->failed(); }));
  auto ended = std::async(std::launch::async, [&] { scorer.reset(); });
  EXPECT_EQ(ended.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);  // one job still runs
  held.go.set_value();
  ended.wait();
  EXPECT_EQ(done, 0);
}

TEST(Scorer, AfterAnErrorNoFurtherJobBegins) {
  std::atomic<int> done = 0;
  Held held;
  Scorer scorer(1);
  scorer.submit(held.job());
  scorer.submit([] { throw std::runtime_error("a grader"); });
  for (int i = 0; i < 20; ++i) scorer.submit([&] { ++done; });
  held.go.set_value();
  EXPECT_THROW(scorer.wait(kNever), std::runtime_error);
  EXPECT_EQ(done, 0);
}

}  // namespace
}  // namespace grpo::trainer
