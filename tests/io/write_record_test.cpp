#include "grpo/io/write_record.h"

#include <gtest/gtest.h>

#include <fstream>

#include "grpo/io/file.h"
#include "grpo/io/hash.h"
#include "support/golden.h"

namespace grpo::io {
namespace {

TEST(WriteRecord, KnowsWhatWasMeantWhateverHappensToTheFileLater) {
  const testing::TempDir dir;
  const WriteRecord record;
  write_file_atomic(dir.path() / "a", "meant");
  std::ofstream(dir.path() / "a", std::ios::app) << "a line that landed here by mistake";
  const Written& written = record.files().at(dir.path() / "a");
  EXPECT_EQ(written.bytes, 5u);
  EXPECT_EQ(written.xxh3_128, hash_bytes("meant"));
  EXPECT_NE(written.xxh3_128, hash_file(dir.path() / "a"));
}

TEST(WriteRecord, EndsWithItsScope) {
  const testing::TempDir dir;
  { const WriteRecord record; }
  const WriteRecord other;
  EXPECT_TRUE(other.files().empty());
}

}  // namespace
}  // namespace grpo::io
