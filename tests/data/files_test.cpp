#include "grpo/data/files.h"

#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

class ExpandFiles : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (dir_.path() / name).string(); }
  void touch(const std::string& name) {
    std::filesystem::create_directories((dir_.path() / name).parent_path());
    io::write_file_atomic(dir_.path() / name, "x");
  }
  testing::TempDir dir_;
};

TEST_F(ExpandFiles, TakesTheProblemFilesOfAFolderInTheOrderOfTheirNames) {
  for (const char* name : {"d/b.jsonl", "d/a.parquet", "d/c.csv.gz", "d/README.md", "d/dataset_info.json",
                           "d/.hidden.jsonl", "d/sub/x.jsonl"})
    touch(name);
  EXPECT_THAT(expand_files(path("d")), ElementsAre(path("d/a.parquet"), path("d/b.jsonl"), path("d/c.csv.gz")));
}

TEST_F(ExpandFiles, MatchesPatterns) {
  for (const char* name : {"train-00001.parquet", "train-00000.parquet", "test-00000.parquet"}) touch(name);
  EXPECT_THAT(expand_files(path("train-*.parquet")),
              ElementsAre(path("train-00000.parquet"), path("train-00001.parquet")));
  EXPECT_THAT(expand_files(path("dev-*.parquet")), IsEmpty());
}

TEST_F(ExpandFiles, GivesAlternativesInTheOrderOfNamesAndEachFileOnce) {
  for (const char* name : {"a.jsonl", "ab.jsonl", "b.jsonl"}) touch(name);
  EXPECT_THAT(expand_files(path("{b,a}.jsonl")), ElementsAre(path("a.jsonl"), path("b.jsonl")));
  EXPECT_THAT(expand_files(path("{a*,a}.jsonl")), ElementsAre(path("a.jsonl"), path("ab.jsonl")));
}

TEST_F(ExpandFiles, PrefersAFileOfThatVeryName) {
  touch("a[1].jsonl");
  touch("a1.jsonl");
  EXPECT_THAT(expand_files(path("a[1].jsonl")), ElementsAre(path("a[1].jsonl")));
}

TEST_F(ExpandFiles, LeavesNamesAlone) { EXPECT_THAT(expand_files("none/such.jsonl"), ElementsAre("none/such.jsonl")); }

TEST_F(ExpandFiles, RefusesToMixSplits) {
  touch("d/train-00000.parquet");
  touch("d/test-00000.parquet");
  EXPECT_THAT([&] { expand_files(path("d")); },
              ThrowsMessage<base::ConfigError>(HasSubstr("several splits (test, train)")));
  touch("e/math.jsonl");
  touch("e/test.jsonl");
  EXPECT_THAT([&] { expand_files(path("e")); },
              ThrowsMessage<base::ConfigError>(HasSubstr("several splits (files of none, test)")));
}

TEST_F(ExpandFiles, SaysWhereAFolderKeepsItsFiles) {
  touch("d/data/a.jsonl");
  EXPECT_THAT([&] { expand_files(path("d")); }, ThrowsMessage<base::ConfigError>(HasSubstr("subfolder data")));
  touch("e/data-00000-of-00001.arrow");
  EXPECT_THAT([&] { expand_files(path("e")); }, ThrowsMessage<base::ConfigError>(HasSubstr("to_parquet")));
}

TEST(NameOfSet, IsTheFileWithoutItsEndings) {
  EXPECT_EQ(name_of_set("a/test.jsonl"), "test");
  EXPECT_EQ(name_of_set("a/test.jsonl.gz"), "test");
  EXPECT_EQ(name_of_set("math500"), "math500");
}

}  // namespace
}  // namespace grpo::data
