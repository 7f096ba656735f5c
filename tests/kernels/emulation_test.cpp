#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
#include <vector>

#include "kernels/emulation/block.h"

// What the emulation of device kernels must find.

namespace grpo::testing {
namespace {

unsigned own() { return emulated_thread().x; }

TEST(EmulatedBlock, RunsEveryThreadBetweenBarriers) {
  for (const auto order : {ThreadOrder::kForward, ThreadOrder::kBackward}) {
    set_thread_order(order);
    std::vector<int> first(96), sums(96);
    run_block({}, 96, 0, [&] {
      first[own()] = static_cast<int>(own());
      wait_for_block();
      sums[own()] = std::accumulate(first.begin(), first.end(), 0);
    });
    EXPECT_EQ(sums, std::vector<int>(96, 95 * 96 / 2));
  }
  set_thread_order(ThreadOrder::kForward);
}

TEST(EmulatedBlock, ShowsAMissingBarrierAsADifferenceOfOrders) {
  const auto neighbours = [](ThreadOrder order) {
    set_thread_order(order);
    std::vector<int> written(64, -1), read(64);
    run_block({}, 64, 0, [&] {
      written[own()] = static_cast<int>(own());
      read[own()] = written[(own() + 1) % 64];
    });
    set_thread_order(ThreadOrder::kForward);
    return read;
  };
  EXPECT_NE(neighbours(ThreadOrder::kForward), neighbours(ThreadOrder::kBackward));
}

TEST(EmulatedBlock, ExchangesValuesInsideAWarp) {
  std::vector<int> found(64);
  run_block({}, 64, 0,
            [&] { found[own()] = exchange_in_warp(static_cast<int>(own()), [](int lane) { return lane ^ 1; }); });
  for (int i = 0; i < 64; ++i) EXPECT_EQ(found[static_cast<size_t>(i)], i ^ 1);
  std::vector<unsigned> votes(64);
  run_block({}, 64, 0, [&] { votes[own()] = ballot_in_warp(own() < 33); });
  EXPECT_EQ(votes[0], 0xffffffffu);
  EXPECT_EQ(votes[63], 1u);
}

TEST(EmulatedBlock, RefusesBarriersThatSomeThreadsDoNotReach) {
  // Half of a warp leaves before a warp-wide operation.
  EXPECT_THROW(run_block({}, 32, 0,
                         [] {
                           if (own() < 16) ballot_in_warp(true);
                         }),
               std::logic_error);
  // Some wait for the block while the others wait for their warp.
  EXPECT_THROW(run_block({}, 32, 0, [] { own() < 16 ? wait_for_block() : static_cast<void>(ballot_in_warp(true)); }),
               std::logic_error);
  EXPECT_THROW(run_block({}, 33, 0, [] {}), std::logic_error);
}

TEST(EmulatedBlock, StopsAtATrap) {
  EXPECT_THROW(run_block({}, 32, 0,
                         [] {
                           if (own() == 5) trap();
                         }),
               std::runtime_error);
}

}  // namespace
}  // namespace grpo::testing
