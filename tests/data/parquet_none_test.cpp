#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/data/dataset.h"

namespace grpo::data {
namespace {

TEST(Parquet, ABuildWithoutItSaysHowToGetIt) {
  try {
    load_problems({"train.parquet"}, "problem", "answer");
    FAIL() << "no error";
  } catch (const base::IoError& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("train.parquet: this build reads no Parquet; build with -DGRPO_WITH_PARQUET=ON"));
  }
}

}  // namespace
}  // namespace grpo::data
