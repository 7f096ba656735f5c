#include "grpo/io/json.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::io {
namespace {

using ::testing::HasSubstr;

TEST(ReadJson, ReturnsWhatWriteJsonWrote) {
  const testing::TempDir dir;
  const nlohmann::json value = {{"a", {1, 2.5, nullptr}}, {"b", "ünïcode"}};
  write_json(dir.path() / "a.json", value);
  EXPECT_EQ(read_json(dir.path() / "a.json"), value);
  EXPECT_THAT(read_file(dir.path() / "a.json"), HasSubstr("ünïcode"));
}

TEST(ReadJson, NamesFileAndPositionOfAnError) {
  const testing::TempDir dir;
  write_file_atomic(dir.path() / "a.json", "{\"a\": 1,\n \"b\": }");
  try {
    read_json(dir.path() / "a.json");
    FAIL() << "no error";
  } catch (const base::IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("a.json: not valid JSON"));
    EXPECT_THAT(error.what(), HasSubstr("line 2"));
  }
}

TEST(WriteJson, WritesInvalidUtf8AsReplacementCharacter) {
  const testing::TempDir dir;
  write_json(dir.path() / "a.json", {{"a", "x\xFFy"}});
  EXPECT_EQ(read_json(dir.path() / "a.json")["a"], "x\xEF\xBF\xBDy");
}

}  // namespace
}  // namespace grpo::io
