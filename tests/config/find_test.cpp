#include "config/sample.h"

namespace grpo::config {
namespace {

using FindConfig = ConfigTest;

TEST_F(FindConfig, LooksAsGivenThenInConfigs) {
  write("configs/a.yaml", "");
  EXPECT_EQ(find_config("a.yaml"), "configs/a.yaml");
  EXPECT_EQ(find_config("a"), "configs/a.yaml");
  EXPECT_EQ(find_config("configs/a"), "configs/a.yaml");
  EXPECT_EQ(find_config((folder_ / "configs/a.yaml").string()), folder_ / "configs/a.yaml");
  write("a.yaml", "");
  EXPECT_EQ(find_config("a.yaml"), "a.yaml");
  EXPECT_EQ(find_config("a"), "a.yaml");
  write("a", "");
  EXPECT_EQ(find_config("a"), "a");
}

TEST_F(FindConfig, AFolderOfThatNameIsNoConfiguration) {
  write("configs/quick/data.jsonl", "");
  write("configs/quick.yaml", "");
  EXPECT_EQ(find_config("quick"), "configs/quick.yaml");
}

TEST_F(FindConfig, SaysWhereItLooked) {
  EXPECT_EQ(error_of([] { find_config("a.yaml"); }),
            "a.yaml: no such configuration; looked for a.yaml, a.yaml.yaml, configs/a.yaml, configs/a.yaml.yaml in " +
                folder_.string());
  EXPECT_EQ(error_of([] { find_config(""); }), "the name of the configuration file is empty");
}

TEST_F(FindConfig, SuggestsASimilarName) {
  write("configs/quickstart_2grpo.yaml", "");
  write("configs/quickstart_16grpo.yaml", "");
  EXPECT_THAT(error_of([] { find_config("quikstart_2grpo.yaml"); }),
              testing::EndsWith(" (did you mean configs/quickstart_2grpo.yaml?)"));
  EXPECT_THAT(error_of([] { find_config("configs/quickstart_16gpro"); }),
              testing::EndsWith(" (did you mean configs/quickstart_16grpo.yaml?)"));
}

using ResolvePath = ConfigTest;

TEST_F(ResolvePath, TakesTheCurrentDirectoryFirstThenTheConfigsFolder) {
  write("configs/data/train.jsonl", "");
  EXPECT_EQ(resolve_path("data/train.jsonl", "configs"), "configs/data/train.jsonl");
  write("data/train.jsonl", "");
  EXPECT_EQ(resolve_path("data/train.jsonl", "configs"), "data/train.jsonl");
}

TEST_F(ResolvePath, LeavesWhatIsNowhereAndAbsolutePaths) {
  EXPECT_EQ(resolve_path("nowhere.jsonl", "configs"), "nowhere.jsonl");
  EXPECT_EQ(resolve_path("/nowhere/a.jsonl", "configs"), "/nowhere/a.jsonl");
  EXPECT_EQ(resolve_path("~/a.jsonl", "configs"), std::filesystem::path(std::getenv("HOME")) / "a.jsonl");
  EXPECT_EQ(resolve_path("", "configs"), "");
  EXPECT_EQ(resolve_path("nowhere.jsonl", ""), "nowhere.jsonl");
}

}  // namespace
}  // namespace grpo::config
