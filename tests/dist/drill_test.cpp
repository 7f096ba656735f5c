#include "dist/drill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

using ::testing::HasSubstr;

std::optional<Drill> parse(const std::string& text, int64_t ranks = 2) {
  return drill_from([&](const std::string& name) { return name == "GRPO_DRILL" ? std::optional(text) : std::nullopt; },
                    ranks);
}

TEST(Drill, IsReadFromWords) {
  EXPECT_FALSE(parse(""));
  const auto drill = parse("phase=update  rank=1 seconds=7 action=sleep step=3");
  ASSERT_TRUE(drill);
  EXPECT_EQ(drill->rank, 1);
  EXPECT_EQ(drill->step, 3);
  EXPECT_EQ(drill->phase, "update");
  EXPECT_EQ(drill->action, Drill::Action::kSleep);
  EXPECT_EQ(drill->seconds, 7);
}

TEST(Drill, AppliesToOneRankPhaseAndStep) {
  const auto at_three = *parse("rank=1 step=3 phase=update action=kill");
  EXPECT_TRUE(applies(at_three, 1, "step 3, update"));
  EXPECT_FALSE(applies(at_three, 0, "step 3, update"));
  EXPECT_FALSE(applies(at_three, 1, "step 3, reduction"));
  EXPECT_FALSE(applies(at_three, 1, "step 13, update"));
  const auto always = *parse("rank=1 phase=update action=kill");
  EXPECT_TRUE(applies(always, 1, "step 13, update"));
  EXPECT_TRUE(applies(*parse("rank=0 phase=start action=kill"), 0, "start"));
}

TEST(Drill, SaysWhatIsWrong) {
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"rank=1 phase=update", "action is missing"},
           {"phase=update action=kill", "rank is missing"},
           {"rank=2 phase=update action=kill", "there are 2 ranks, from 0"},
           {"rank=one phase=update action=kill", "rank=one is no whole number"},
           {"rank=-1 phase=update action=kill", "rank=-1 is no whole number"},
           {"rank=1 phase=updates action=kill", "phase=updates is none of start, rollout"},
           {"rank=1 phase=update action=die", "action=die is none of kill, stop, throw, sleep"},
           {"rank=1 phase=update action=kill seconds=3", "seconds belongs to action=sleep"},
           {"rank=1 rank=0 phase=update action=kill", "rank is there twice"},
           {"rank=1 phase=update action=kill when=now", "when is no key of it"},
           {"kill", "\"kill\" is no key=value"}}) {
    try {
      parse(text);
      ADD_FAILURE() << text;
    } catch (const base::ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr(why)) << text;
      EXPECT_THAT(error.what(), HasSubstr("GRPO_DRILL=\"" + text + "\""));
    }
  }
}

TEST(Drill, ThrowsWhenAsked) { EXPECT_THROW(act(*parse("rank=0 phase=update action=throw"), {}), base::DistError); }

}  // namespace
}  // namespace grpo::dist
