#include "grpo/metrics/console.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace grpo::metrics {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

Status half_way() {
  return {.run = "two",
          .doing = "",
          .step = 7,
          .steps = 200,
          .elapsed_s = 65.0,
          .left_s = 7500.0,
          .rollout = {.done = 96, .total = 128, .tokens = 41234},
          .update = {.done = 1, .total = 4, .tokens = 900},
          .rewards = {0.0, 0.25, 0.5, 1.0},
          .accuracy = 0.5,
          .live_share = 0.25,
          .rollout_tokens_per_s = 40916.7,
          .update_tokens_per_s = 7946.2,
          .memory_bytes = 2.15e9};
}

TEST(StatusBlock, TellsStepTimePhasesRewardSpeedAndMemory) {
  EXPECT_THAT(render_status(half_way(), 120, true),
              ElementsAre("two  step 7/200  1 min 05 s elapsed, 2 h 05 min left",
                          "rollout  ██████████████████░░░░░░  96/128 completions  41.2k tokens",
                          "update   ██████░░░░░░░░░░░░░░░░░░  1/4 micro-batches  900 tokens",
                          "reward   1.000  accuracy 0.500  live groups 25 %  ▁▃▅█",
                          "speed    40.9k tokens/s sampled, 7946 trained  memory 2.15 GB"));
}

TEST(StatusBlock, IsAsciiWhereTheTerminalIs) {
  const auto lines = render_status(half_way(), 120, false);
  EXPECT_THAT(lines[1], StartsWith("rollout  ##################......  96/128"));
  for (const auto& line : lines) {
    EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= 0; })) << line;
  }
}

TEST(StatusBlock, IsNeverWiderThanTheTerminal) {
  for (size_t columns = 1; columns < 100; ++columns) {
    for (const auto& line : render_status(half_way(), columns, true)) {
      const auto width = std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; });
      EXPECT_LE(static_cast<size_t>(width), columns) << line;
    }
  }
}

TEST(StatusBlock, HasNoNumbersBeforeThereAreAny) {
  const auto lines = render_status({.run = "new", .doing = "evaluation", .steps = 5}, 120, true);
  EXPECT_EQ(lines[0], "new  step 0/5  evaluation  0 s elapsed");
  EXPECT_EQ(lines[3], "reward   -  accuracy -  live groups -  ");
}

TEST(Sparkline, ShowsTheLastValuesBetweenTheirExtremes) {
  EXPECT_EQ(sparkline({9.0, 1.0, 2.0, 3.0}, 3, true), "▁▅█");
  EXPECT_EQ(sparkline({2.0, 2.0}, 8, true), "▁▁");
  EXPECT_EQ(sparkline({}, 8, true), "");
}

TEST(Duration, UsesTheUnitsThatMatter) {
  EXPECT_EQ(duration(0.347), "0.35 s");
  EXPECT_EQ(duration(9.94), "9.9 s");
  EXPECT_EQ(duration(9.96), "10 s");
  EXPECT_EQ(duration(59.4), "59 s");
  EXPECT_EQ(duration(185.0), "3 min 05 s");
  EXPECT_EQ(duration(7620.0), "2 h 07 min");
  EXPECT_EQ(duration(273600.0), "3 d 04 h");
}

}  // namespace
}  // namespace grpo::metrics
