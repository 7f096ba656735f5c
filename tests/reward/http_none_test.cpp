#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpo/base/error.h"
#include "grpo/reward/reward.h"
#include "support/message_of.h"

namespace grpo::reward {
namespace {

TEST(HttpTerm, OfABuildWithoutLibcurlSaysHowToGetOne) {
  RewardTerm term{.type = TermType::kHttp};
  term.url = "http://127.0.0.1:1/";
  EXPECT_THAT(testing::message_of<base::ConfigError>([&] { make_reward({.terms = {term}}); }),
              ::testing::HasSubstr("build with -DGRPO_WITH_CURL=ON"));
}

}  // namespace
}  // namespace grpo::reward
