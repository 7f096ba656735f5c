#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/base64.h"
#include "grpo/io/file.h"
#include "grpo/io/file_kind.h"
#include "grpo/io/json.h"
#include "support/golden.h"

namespace grpo::io {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// {"a":1}\n{"a":2}\n by `gzip -n` and by `zstd`, and once more as two streams one after the other.
const std::string kGzip = decode_base64("H4sIAAAAAAACA6tWSlSyMqzlqgbRRrVcAGbAWhkQAAAA");
const std::string kZstd = decode_base64("KLUv/QRYgQAAeyJhIjoxfQp7ImEiOjJ9Cu7trPI=");

class Decompress : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& bytes) {
    write_file_atomic(dir_.path() / name, bytes);
    return dir_.path() / name;
  }
  testing::TempDir dir_;
};

TEST_F(Decompress, FollowsTheEndingOfTheName) {
  const std::string text = "{\"a\":1}\n{\"a\":2}\n";
  EXPECT_EQ(read_maybe_compressed(write("a.jsonl.gz", kGzip)), text);
  EXPECT_EQ(read_maybe_compressed(write("a.jsonl.zst", kZstd)), text);
  EXPECT_EQ(read_maybe_compressed(write("a.jsonl", kGzip)), kGzip);
}

TEST_F(Decompress, ReadsStreamsOneAfterTheOther) {
  EXPECT_EQ(read_maybe_compressed(write("a.gz", kGzip + kGzip)).size(), 32U);
  EXPECT_EQ(read_maybe_compressed(write("a.zst", kZstd + kZstd)).size(), 32U);
}

TEST_F(Decompress, RefusesHalfAFile) {
  for (const auto& [name, bytes] : {std::pair(std::string("a.gz"), kGzip), std::pair(std::string("a.zst"), kZstd)}) {
    const auto path = write(name, bytes.substr(0, bytes.size() - 6));
    EXPECT_THAT([&] { read_maybe_compressed(path); }, ThrowsMessage<base::IoError>(HasSubstr(name + ": not a whole")))
        << name;
  }
}

TEST_F(Decompress, ReadsJsonLinesWithLineNumbers) {
  JsonlReader reader(write("a.jsonl.gz", kGzip).string());
  nlohmann::json row;
  ASSERT_TRUE(reader.next(row));
  ASSERT_TRUE(reader.next(row));
  EXPECT_EQ(row.at("a"), 2);
  EXPECT_EQ(reader.line(), 2);
  EXPECT_FALSE(reader.next(row));
}

TEST(KindHint, NamesWhatTheBytesAre) {
  EXPECT_THAT(kind_hint("version https://git-lfs.github.com/spec/v1"), HasSubstr("git lfs pull"));
  EXPECT_THAT(kind_hint("PAR1"), HasSubstr(".parquet"));
  EXPECT_THAT(kind_hint("PK\x03\x04"), HasSubstr("safetensors"));
  EXPECT_EQ(kind_hint("{\"a\": 1}"), "");
  EXPECT_EQ(kind_hint(""), "");
}

TEST(WithoutCompression, KeepsTheEndingThatTellsTheFormat) {
  EXPECT_EQ(without_compression("d/a.jsonl.zst"), std::filesystem::path("d/a.jsonl"));
  EXPECT_EQ(without_compression("d.gz/a.csv"), std::filesystem::path("d.gz/a.csv"));
}

}  // namespace
}  // namespace grpo::io
