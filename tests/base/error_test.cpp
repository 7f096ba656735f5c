#include "grpo/base/error.h"

#include <gmock/gmock.h>

namespace grpo::base {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(Check, ThrowsWithPlaceConditionAndValues) {
  const int count = 3;
  try {
    GRPO_CHECK(count == 4, "count ", count, " of ", 4);
    FAIL() << "no error";
  } catch (const std::logic_error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("error_test.cpp:"), HasSubstr("count == 4"), HasSubstr("count 3 of 4")));
  }
}

TEST(Check, EvaluatesItsMessageOnlyOnFailure) {
  int evaluated = 0;
  GRPO_CHECK(true, ++evaluated);
  EXPECT_EQ(evaluated, 0);
}

TEST(Error, EveryKindIsAnError) {
  EXPECT_THROW(throw ConfigError("x"), Error);
  EXPECT_THROW(throw IoError("x"), Error);
  EXPECT_THROW(throw CheckpointError("x"), Error);
  EXPECT_THROW(throw DistError("x"), Error);
}

TEST(Concat, JoinsPartsOfAnyType) { EXPECT_EQ(concat("a", 1, ' ', 2.5), "a1 2.5"); }

}  // namespace
}  // namespace grpo::base
