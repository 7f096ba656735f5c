#include <gmock/gmock.h>
#include <sys/resource.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "support/address_sanitizer.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::io {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

struct Row {
  int64_t line;
  nlohmann::json value;
  bool operator==(const Row&) const = default;
};

std::vector<Row> read_all(const std::string& path) {
  JsonlReader reader(path);
  std::vector<Row> rows;
  nlohmann::json value;
  while (reader.next(value)) rows.push_back({reader.line(), value});
  return rows;
}

// Puts a text in the place of std::cin for its life.
class FakeStdin {
 public:
  explicit FakeStdin(const std::string& text) : in_(text), old_(std::cin.rdbuf(in_.rdbuf())) {}
  ~FakeStdin() { std::cin.rdbuf(old_); }

 private:
  std::istringstream in_;
  std::streambuf* old_;
};

TEST(JsonlReader, SkipsBlankLinesAndToleratesCrlfAndAMissingLastNewline) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.jsonl";
  write_file_atomic(path, "{\"a\": 1}\r\n\r\n  \n{\"a\": \"x\"}");
  const std::vector<Row> expected = {{1, {{"a", 1}}}, {4, {{"a", "x"}}}};
  EXPECT_EQ(read_all(path.string()), expected);
}

TEST(JsonlReader, ReadsStdin) {
  const FakeStdin input("{\"a\": 1}\n{\"a\": 2}\n");
  const std::vector<Row> expected = {{1, {{"a", 1}}}, {2, {{"a", 2}}}};
  EXPECT_EQ(read_all("-"), expected);
}

TEST(JsonlReader, NamesFileAndLineOfAnError) {
  const testing::TempDir dir;
  const auto path = (dir.path() / "a.jsonl").string();
  write_file_atomic(path, "{\"a\": 1}\n\n{\"a\": \n");
  EXPECT_THAT(testing::message_of<base::IoError>([&] { read_all(path); }), HasSubstr(path + ":3: not valid JSON"));
  write_file_atomic(path, "[1]\n");
  EXPECT_THAT(testing::message_of<base::IoError>([&] { read_all(path); }),
              HasSubstr(path + ":1: expected one JSON object"));
  write_file_atomic(path, "{\"a\": \"\xFF\"}\n");
  EXPECT_THAT(testing::message_of<base::IoError>([&] { read_all(path); }), HasSubstr(path + ":1: not valid JSON"));
  const FakeStdin input("{}\nx\n");
  EXPECT_THAT(testing::message_of<base::IoError>([] { read_all("-"); }), HasSubstr("stdin:2: "));
}

TEST(JsonlReader, NamesAMissingFileAndAFolder) {
  const testing::TempDir dir;
  EXPECT_THAT(testing::message_of<base::IoError>([] { JsonlReader reader("no/such.jsonl"); }),
              AllOf(HasSubstr("no/such.jsonl"), HasSubstr("No such file")));
  EXPECT_THAT(testing::message_of<base::IoError>([&] { JsonlReader reader(dir.path().string()); }),
              HasSubstr("is a folder"));
}

// 64 MB of lines in a process whose memory may not grow by half of that. (AddressSanitizer keeps freed memory for a
// while.)
#ifndef GRPO_ADDRESS_SANITIZER
TEST(JsonlReader, NeedsConstantMemory) {
  const testing::TempDir dir;
  const auto path = dir.path() / "big.jsonl";
  {
    JsonlWriter writer(path.string());
    for (int i = 0; i < 1000; ++i) writer.write(nlohmann::json{{"text", std::string(65'000, 'x')}});
  }
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  JsonlReader reader(path.string());
  nlohmann::json value;
  int count = 0;
  while (reader.next(value)) ++count;
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(count, 1000);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 32 * 1024);  // KiB
}
#endif

TEST(JsonlWriter, WritesOneLineAnObjectAndFlushesEach) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.jsonl";
  JsonlWriter writer(path.string());
  writer.write(nlohmann::json{{"b", 1}, {"a", "x\ny"}});
  EXPECT_EQ(read_file(path), "{\"a\":\"x\\ny\",\"b\":1}\n");
  writer.write(nlohmann::ordered_json{{"b", 1}, {"a", 0.1}});
  EXPECT_EQ(read_file(path), "{\"a\":\"x\\ny\",\"b\":1}\n{\"b\":1,\"a\":0.1}\n");
}

TEST(JsonlWriter, AppendsOrTruncates) {
  const testing::TempDir dir;
  const auto path = (dir.path() / "a.jsonl").string();
  JsonlWriter(path).write(nlohmann::json{{"a", 1}});
  JsonlWriter(path, JsonlWriter::Mode::kAppend).write(nlohmann::json{{"a", 2}});
  EXPECT_EQ(read_file(path), "{\"a\":1}\n{\"a\":2}\n");
  JsonlWriter(path).write(nlohmann::json{{"a", 3}});
  EXPECT_EQ(read_file(path), "{\"a\":3}\n");
}

TEST(JsonlWriter, WritesStdout) {
  ::testing::internal::CaptureStdout();
  JsonlWriter("-").write(nlohmann::json{{"a", 1}});
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "{\"a\":1}\n");
}

TEST(JsonlWriter, ReplacesInvalidUtf8) {
  const testing::TempDir dir;
  const auto path = dir.path() / "a.jsonl";
  JsonlWriter writer(path.string());
  writer.write(nlohmann::ordered_json{{"a", "\xC3("}});
  EXPECT_EQ(read_file(path), "{\"a\":\"\xEF\xBF\xBD(\"}\n");
}

TEST(JsonlWriter, ReportsAFullDisk) {
  JsonlWriter writer("/dev/full");
  EXPECT_THAT(testing::message_of<base::IoError>([&] {
                writer.write(nlohmann::json{{"a", 1}});
              }),
              HasSubstr("/dev/full: cannot write: No space left"));
}

TEST(JsonlWriter, ReportsAPathThatCannotBeOpened) {
  EXPECT_THAT(testing::message_of<base::IoError>([] { JsonlWriter writer("no/such/folder/a.jsonl"); }),
              HasSubstr("cannot open: No such file"));
}

}  // namespace
}  // namespace grpo::io
