#include "grpo/io/file.h"

#include <gmock/gmock.h>
#include <lzma.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/io/base64.h"
#include "grpo/io/hash.h"
#include "grpo/io/mapped_file.h"
#include "support/golden.h"
#include "support/message_of.h"

namespace grpo::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  return names;
}

std::string compress_xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  size_t used = 0;
  const auto status =
      lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr, reinterpret_cast<const uint8_t*>(text.data()), text.size(),
                              reinterpret_cast<uint8_t*>(out.data()), &used, out.size());
  EXPECT_EQ(status, LZMA_OK);
  out.resize(used);
  return out;
}

TEST(ReadFile, ReturnsEveryByte) {
  const testing::TempDir dir;
  std::string bytes(300'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7 % 256);
  write_file_atomic(dir.path() / "a", bytes);
  EXPECT_EQ(read_file(dir.path() / "a"), bytes);
}

TEST(ReadFile, NamesTheMissingFile) {
  EXPECT_THAT(testing::message_of<base::IoError>([] { read_file("no/such/file"); }),
              HasSubstr("no/such/file: cannot open: No such file"));
}

TEST(ReadFile, RefusesAFolder) {
  const testing::TempDir dir;
  EXPECT_THAT(testing::message_of<base::IoError>([&] { read_file(dir.path()); }), HasSubstr("is a folder"));
}

TEST(ReadMaybeCompressed, DecompressesXzByItsEnding) {
  const testing::TempDir dir;
  const std::string text(200'000, 'x');
  write_file_atomic(dir.path() / "a.xz", compress_xz(text) + compress_xz("tail"));  // xz files may be concatenated
  write_file_atomic(dir.path() / "b", text);
  EXPECT_EQ(read_maybe_compressed(dir.path() / "a.xz"), text + "tail");
  EXPECT_EQ(read_maybe_compressed(dir.path() / "b"), text);
}

TEST(ReadMaybeCompressed, RefusesATruncatedXzFile) {
  const testing::TempDir dir;
  const std::string whole = compress_xz("some text that is long enough to cut");
  write_file_atomic(dir.path() / "a.xz", std::string_view(whole).substr(0, whole.size() - 9));
  EXPECT_THAT(testing::message_of<base::IoError>([&] { read_maybe_compressed(dir.path() / "a.xz"); }),
              HasSubstr("not a whole .xz file"));
}

TEST(WriteFileAtomic, ReplacesAndLeavesNoTemporaryFile) {
  const testing::TempDir dir;
  write_file_atomic(dir.path() / "a", "old");
  write_file_atomic(dir.path() / "a", "new");
  EXPECT_EQ(read_file(dir.path() / "a"), "new");
  EXPECT_THAT(names_in(dir.path()), UnorderedElementsAre("a"));
}

TEST(WriteFileAtomic, LeavesNoTemporaryFileWhenTheTargetCannotBeReplaced) {
  const testing::TempDir dir;
  fs::create_directory(dir.path() / "a");
  EXPECT_THAT(testing::message_of<base::IoError>([&] { write_file_atomic(dir.path() / "a", "x"); }),
              HasSubstr("a: cannot replace"));
  EXPECT_THAT(names_in(dir.path()), UnorderedElementsAre("a"));
}

TEST(WriteFileAtomic, NeverTakesThePlaceOfADeviceOrPipe) {
  const testing::TempDir dir;
  const auto pipe = dir.path() / "pipe", link = dir.path() / "link", out = dir.path() / "out";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink(pipe, link);
  fs::create_symlink("/proc/self/fd/1", out);  // as /dev/stdout
  for (const auto& path : {pipe, link, out}) {
    EXPECT_THAT(testing::message_of<base::IoError>([&] { write_file_atomic(path, "x"); }),
                HasSubstr(path.string() + ": is no regular file"));
  }
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_TRUE(fs::is_symlink(out));
  EXPECT_THAT(names_in(dir.path()), UnorderedElementsAre("pipe", "link", "out"));
}

TEST(WriteFileAtomic, KeepsTheOldFileWhenTheDiskRefusesBytes) {
  const testing::TempDir dir;
  write_file_atomic(dir.path() / "a", "old");
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);  // so that write() fails instead
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string error =
      testing::message_of<base::IoError>([&] { write_file_atomic(dir.path() / "a", std::string(5000, 'x')); });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(error, HasSubstr("a: cannot write: File too large"));
  EXPECT_EQ(read_file(dir.path() / "a"), "old");
  EXPECT_THAT(names_in(dir.path()), UnorderedElementsAre("a"));
}

TEST(WriteFileAtomic, ThreadsThatWriteOnePathLeaveOneWholeVersion) {
  const testing::TempDir dir;
  std::vector<std::thread> threads;
  for (char c = 'a'; c < 'e'; ++c) {
    threads.emplace_back([&dir, c] {
      for (int i = 0; i < 20; ++i) write_file_atomic(dir.path() / "f", std::string(10'000, c));
    });
  }
  for (auto& thread : threads) thread.join();
  const std::string text = read_file(dir.path() / "f");
  EXPECT_EQ(text, std::string(10'000, text.at(0)));
  EXPECT_THAT(names_in(dir.path()), UnorderedElementsAre("f"));
}

// XXH3-128 of the empty input, as published in the xxHash specification's test suite.
TEST(Hash, OfNothingIsTheKnownValue) { EXPECT_EQ(hash_bytes(""), "99aa06d3014798d86001c324468d497f"); }

TEST(Hash, OfAFileEqualsThatOfItsBytes) {
  const testing::TempDir dir;
  std::string bytes(3'000'001, 'q');
  bytes[1'500'000] = 'r';
  write_file_atomic(dir.path() / "a", bytes);
  EXPECT_EQ(hash_file(dir.path() / "a"), hash_bytes(bytes));
  bytes[1'500'000] = 'q';
  EXPECT_NE(hash_file(dir.path() / "a"), hash_bytes(bytes));
}

TEST(MappedFile, ShowsTheFile) {
  const testing::TempDir dir;
  write_file_atomic(dir.path() / "a", "hello");
  write_file_atomic(dir.path() / "empty", "");
  const MappedFile file(dir.path() / "a");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()), "hello");
  EXPECT_TRUE(MappedFile(dir.path() / "empty").bytes().empty());
  EXPECT_THAT(testing::message_of<base::IoError>([&] { MappedFile missing(dir.path() / "b"); }),
              HasSubstr("cannot open"));
}

// The examples of RFC 4648, section 10.
TEST(DecodeBase64, DecodesTheExamplesOfTheRfc) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("Zg=="), "f");
  EXPECT_EQ(decode_base64("Zm8="), "fo");
  EXPECT_EQ(decode_base64("Zm9v"), "foo");
  EXPECT_EQ(decode_base64("Zm9vYg=="), "foob");
  EXPECT_EQ(decode_base64("Zm9vYmE="), "fooba");
  EXPECT_EQ(decode_base64("Zm9vYmFy"), "foobar");
  EXPECT_EQ(decode_base64("/+8="), "\xFF\xEF");
}

TEST(DecodeBase64, RefusesOtherCharactersAndLengths) {
  EXPECT_THROW(decode_base64("Zm9v\n"), base::IoError);
  EXPECT_THROW(decode_base64("Zm=v"), base::IoError);
  EXPECT_THROW(decode_base64("Z"), base::IoError);
  EXPECT_THROW(decode_base64("Zg===="), base::IoError);
}

}  // namespace
}  // namespace grpo::io
