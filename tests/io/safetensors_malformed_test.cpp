// What a damaged, truncated or hostile .safetensors file leads to: an IoError that names file and fault, never a crash.
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/io/safetensors.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::io {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string with_length(uint64_t length, const std::string& rest) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(length >> (8 * i) & 0xFF);
  return bytes + rest;
}

std::string make_file(const std::string& header, size_t data_bytes) {
  return with_length(header.size(), header + std::string(data_bytes, '\1'));
}

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

std::string many_ones() {
  std::string text;
  for (int i = 0; i < 1500; ++i) text += ",1";
  return text;
}

struct Case {
  const char* label;
  std::string bytes;
  std::string expected;  // part of the message
};

std::vector<Case> cases() {
  const std::string a = tensor("a", "F32", "[2]", "[0,8]");
  return {
      {"empty file", "", "has 0 bytes, too short"},
      {"only a length", with_length(0, ""), "not valid JSON"},
      {"huge header length", with_length(UINT64_MAX, "{}"), "header length 18446744073709551615 exceeds"},
      {"header length beyond the file", with_length(100, "{}"), "header length 100 exceeds"},
      {"header is not JSON", make_file("{\"a\":", 8), "not valid JSON"},
      {"header is a list", make_file("[]", 0), "not a JSON object"},
      {"entry is no object", make_file("{\"a\":3}", 8), "tensor a: has no dtype"},
      {"no offsets", make_file(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "tensor a: has no data_offsets"},
      {"twice", make_file("{" + a + "," + a + "}", 8), "tensor a: is there twice"},
      {"a shape without end", make_file("{" + tensor("a", "F32", "[1" + many_ones() + "]", "[0,4]") + "}", 4),
       "a has more than 1000 values"},
      {"unknown dtype", make_file("{" + tensor("a", "F8_E4M3", "[8]", "[0,8]") + "}", 8),
       "dtype \"F8_E4M3\" is not supported; known: F64"},
      {"negative size", make_file("{" + tensor("a", "F32", "[-2]", "[0,8]") + "}", 8), "shape is [-2]"},
      {"fractional size", make_file("{" + tensor("a", "F32", "[2.0]", "[0,8]") + "}", 8), "shape is [2.0]"},
      {"shape is a number", make_file("{" + tensor("a", "F32", "2", "[0,8]") + "}", 8), "shape is 2"},
      {"one offset", make_file("{" + tensor("a", "F32", "[2]", "[0]") + "}", 8), "expected [begin, end]"},
      {"end before begin", make_file("{" + tensor("a", "F32", "[2]", "[8,0]") + "}", 8), "expected [begin, end]"},
      {"truncated data", make_file("{" + a + "}", 7),
       "ends at byte 8 of the data but the file has only 7; it is truncated"},
      {"shape does not fit", make_file("{" + tensor("a", "F32", "[3]", "[0,8]") + "}", 8),
       "shape [3] of F32 does not fit its 8 bytes"},
      {"odd number of bytes", make_file("{" + tensor("a", "F32", "[2]", "[0,9]") + "}", 9), "does not fit its 9 bytes"},
      {"size that overflows", make_file("{" + tensor("a", "F32", "[4294967296,4294967296,2]", "[0,8]") + "}", 8),
       "does not fit"},
      {"overlap", make_file("{" + a + "," + tensor("b", "F32", "[2]", "[4,12]") + "}", 12),
       "tensor b: begins at byte 4 of the data, inside another"},
      {"same bytes twice", make_file("{" + a + "," + tensor("b", "F32", "[2]", "[0,8]") + "}", 8), "inside another"},
      {"gap", make_file("{" + a + "," + tensor("b", "F32", "[1]", "[12,16]") + "}", 16),
       "tensor b: begins at byte 12 of the data, after a gap"},
      {"bytes at the end", make_file("{" + a + "}", 11), "3 bytes after the last tensor"},
  };
}

std::string error_of(const fs::path& path) {
  return testing::message_of<base::IoError>([&] { Safetensors::open(path); });
}

TEST(MalformedSafetensors, EachFaultHasItsMessage) {
  const testing::TempDir dir;
  const fs::path path = dir.path() / "bad.safetensors";
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.label);
    write_file_atomic(path, c.bytes);
    EXPECT_THAT(error_of(path), AllOf(HasSubstr(path.string()), HasSubstr(c.expected)));
  }
}

TEST(MalformedSafetensors, TheCasesAreOneChangeAwayFromAGoodFile) {
  const testing::TempDir dir;
  const fs::path path = dir.path() / "good.safetensors";
  write_file_atomic(
      path,
      make_file("{" + tensor("a", "F32", "[2]", "[0,8]") + "," + tensor("b", "F32", "[1]", "[8,12]") + "}  ", 12));
  EXPECT_EQ(Safetensors::open(path).tensors().size(), 2U);
}

// As large as the safetensors library allows. A tree of it would take 4 GB.
TEST(MalformedSafetensors, ALargeHeaderTakesAFewTimesItsSize) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  int count = 0;
  while (header.size() < 98'000'000)
    header += "," + tensor("model.layers." + std::to_string(++count) + ".weight", "U8", "[0]", "[0,0]");
  const testing::TempDir dir;
  const fs::path path = dir.path() / "large.safetensors";
  write_file_atomic(path, make_file(header + "}", 0));
  header = std::string();
  rusage before{}, after{};
  ::getrusage(RUSAGE_SELF, &before);
  EXPECT_EQ(Safetensors::open(path).tensors().size(), static_cast<size_t>(count));
  ::getrusage(RUSAGE_SELF, &after);
  EXPECT_LT((after.ru_maxrss - before.ru_maxrss) / 1024, 1000) << "MB";
}

TEST(MalformedSafetensors, IndexNamesAMissingShard) {
  const testing::TempDir dir;
  write_json(dir.path() / "model.safetensors.index.json",
             {{"weight_map", {{"a", "model-00001-of-00001.safetensors"}}}});
  EXPECT_THAT(error_of(dir.path()), HasSubstr("names the shard model-00001-of-00001.safetensors, which is missing"));
}

TEST(MalformedSafetensors, IndexPromisesATensorItsShardLacks) {
  const testing::TempDir dir;
  write_file_atomic(dir.path() / "s.safetensors", make_file("{" + tensor("a", "F32", "[2]", "[0,8]") + "}", 8));
  write_json(dir.path() / "model.safetensors.index.json",
             {{"weight_map", {{"a", "s.safetensors"}, {"b", "s.safetensors"}}}});
  EXPECT_THAT(error_of(dir.path()), AllOf(HasSubstr("s.safetensors: no tensor b"), HasSubstr("index.json promises")));
}

TEST(MalformedSafetensors, IndexMayNotReachOutsideItsFolder) {
  const testing::TempDir dir;
  for (const char* shard : {"../s.safetensors", "/s.safetensors"}) {
    write_json(dir.path() / "model.safetensors.index.json", {{"weight_map", {{"a", shard}}}});
    EXPECT_THAT(error_of(dir.path()), HasSubstr("expected a file name"));
  }
}

TEST(MalformedSafetensors, IndexWithoutAWeightMap) {
  const testing::TempDir dir;
  write_json(dir.path() / "model.safetensors.index.json", {{"metadata", 1}});
  EXPECT_THAT(error_of(dir.path()), HasSubstr("no weight_map"));
}

TEST(MalformedSafetensors, FolderWithoutWeightsSaysWhatIsExpected) {
  const testing::TempDir dir;
  EXPECT_THAT(error_of(dir.path()), HasSubstr("neither model.safetensors nor model.safetensors.index.json"));
  write_file_atomic(dir.path() / "pytorch_model.bin", "x");
  EXPECT_THAT(error_of(dir.path()), HasSubstr("save the model as safetensors"));
}

}  // namespace
}  // namespace grpo::io
