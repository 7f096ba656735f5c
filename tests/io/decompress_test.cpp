#include "io/decompress.h"

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

// 128 KiB of zeros, by `gzip -9n`, `zstd -19` and `xz -9`.
const std::string kGzipZeros = decode_base64(
    "H4sIAAAAAAACA+3BMQEAAADCoPVP7WENoAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AABuzc3ofgAAAgA=");
const std::string kZstdZeros = decode_base64("KLUv/QRoTQAACAABAPz/ORACc1CVeg==");
const std::string kXzZeros = decode_base64(
    "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4f//AFhdAABv/f//o7f/Rz5IFXI5YVG4kijmo4YH+e7kHoLTL8U6PAFLsX7JiopNL6MN"
    "2X+m44wjEVPgWRjFdYrid/i2lH8MasDedElk4ulcU7IE2PdEDKtZ5D8eAAAA6/jGW1ScC34AAXSAgAgAABvMSgGxxGf7AgAAAAAE"
    "WVo=");

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

TEST_F(Decompress, SaysWhatAFileIsThatIsNotCompressedAtAll) {
  EXPECT_THAT([&] { read_maybe_compressed(write("a.gz", kZstd)); },
              ThrowsMessage<base::IoError>(HasSubstr("let its name end in .zst")));
  EXPECT_THAT([&] { read_maybe_compressed(write("a.zst", "version https://git-lfs.github.com/spec/v1")); },
              ThrowsMessage<base::IoError>(HasSubstr("git lfs pull")));
  EXPECT_THAT([&] { read_maybe_compressed(write("a.xz", "")); }, ThrowsMessage<base::IoError>(HasSubstr("ends early")));
}

// A bomb's streams differ from these in length alone.
TEST_F(Decompress, StopsWhereMoreComesOutThanIsAllowed) {
  const std::string zeros(128 << 10, '\0');
  const auto refused = HasSubstr("become more than 100000 when decompressed");
  EXPECT_THAT([&] { decompress_gzip(kGzipZeros, "a.gz", 100000); }, ThrowsMessage<base::IoError>(refused));
  EXPECT_THAT([&] { decompress_zstd(kZstdZeros, "a.zst", 100000); }, ThrowsMessage<base::IoError>(refused));
  EXPECT_THAT([&] { decompress_xz(kXzZeros, "a.xz", 100000); }, ThrowsMessage<base::IoError>(refused));
  EXPECT_EQ(decompress_gzip(kGzipZeros, "a.gz", zeros.size()), zeros);
  EXPECT_EQ(decompress_zstd(kZstdZeros, "a.zst", zeros.size()), zeros);
  EXPECT_EQ(decompress_xz(kXzZeros, "a.xz", zeros.size()), zeros);
}

TEST(MostDecompressed, IsManyTimesTheFileWithinBounds) {
  EXPECT_EQ(most_decompressed(1000), size_t{1} << 30);
  EXPECT_EQ(most_decompressed(size_t{10} << 20), size_t{2000} << 20);
  EXPECT_EQ(most_decompressed(size_t{10} << 30), size_t{64} << 30);
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
