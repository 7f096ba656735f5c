#include "grpo/io/file_lock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::io {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FileLockTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  fs::path path_ = dir_.path() / ".lock";
};

TEST_F(FileLockTest, NamesTheProcessThatHoldsIt) {
  const FileLock held(path_);
  try {
    const FileLock other(path_);
    FAIL() << "two holders";
  } catch (const LockedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("is in use by process " + std::to_string(getpid()) + " on host "));
  }
}

TEST_F(FileLockTest, LeavesNothingBehind) {
  { const FileLock held(path_); }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(FileLockTest, IsFreeAgainWhenItsHolderWasKilled) {
  const pid_t child = fork();
  if (child == 0) {
    const FileLock held(path_);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(fs::exists(path_));
  EXPECT_NO_THROW(FileLock{path_});
}

TEST_F(FileLockTest, GivesAFileThatWasThereItsTextBackUnlessItIsKept) {
  write_file_atomic(path_, "of a process that was killed\n");
  { const FileLock held(path_); }
  EXPECT_EQ(read_file(path_), "of a process that was killed\n");
  {
    FileLock held(path_);
    held.keep();
  }
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(FileLockTest, DoesNotWriteThroughALink) {
  write_file_atomic(dir_.path() / "theirs", "text");
  fs::create_symlink(dir_.path() / "theirs", path_);
  EXPECT_THROW(FileLock{path_}, base::IoError);
  EXPECT_EQ(read_file(dir_.path() / "theirs"), "text");
}

}  // namespace
}  // namespace grpo::io
