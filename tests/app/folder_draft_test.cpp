#include "app/folder_draft.h"

#include <gmock/gmock.h>

#include <fstream>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::app {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

class Draft : public ::testing::Test {
 protected:
  void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  // What there is in the folder, so that a test sees what was left behind.
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(dir_.path())) names.push_back(entry.path().filename().string());
    return names;
  }

  testing::TempDir dir_;
  const fs::path out_ = dir_.path() / "out";
  const fs::path draft_ = dir_.path() / "out.tmp-grpo-export";
};

TEST_F(Draft, ComesToItsPlaceWholeWhetherOrNotTheNameEndsInASlash) {
  for (const char* ending : {"", "/", "/."}) {
    FolderDraft draft(out_.string() + ending);
    write(draft.contents() / "a", "1");
    EXPECT_FALSE(fs::exists(out_));
    draft.commit();
    EXPECT_EQ(io::read_file(out_ / "a"), "1");
    fs::remove_all(out_);
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(Draft, TakesThePlaceOfAnEmptyFolderAndMakesParents) {
  fs::create_directories(out_);
  {
    FolderDraft draft(out_.string() + "/");
    write(draft.contents() / "a", "1");
    draft.commit();
  }
  {
    FolderDraft draft((out_ / "b" / "c").string());
    write(draft.contents() / "a", "2");
    draft.commit();
  }
  EXPECT_EQ(io::read_file(out_ / "a"), "1");
  EXPECT_EQ(io::read_file(out_ / "b" / "c" / "a"), "2");
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(Draft, LeavesNothingBehindUnlessCommitted) {
  {
    const FolderDraft draft(out_.string());
    write(draft.contents() / "half", "");
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(Draft, OverwritesNothing) {
  write(out_ / "a", "theirs");
  EXPECT_THAT([&] { FolderDraft(out_.string()); },
              ThrowsMessage<base::ConfigError>(HasSubstr("out: is there and not")));
  EXPECT_THAT([&] { FolderDraft((out_ / "a").string()); }, ThrowsMessage<base::ConfigError>(HasSubstr("nothing was")));
  EXPECT_THAT([] { FolderDraft(""); }, ThrowsMessage<base::ConfigError>(HasSubstr("is empty")));
  EXPECT_EQ(io::read_file(out_ / "a"), "theirs");
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(Draft, ReplacesOneThatAKilledProcessLeft) {
  write(draft_ / ".lock", "{\"host\":\"h\"}\n");
  write(draft_ / "contents" / "half", "");
  {
    FolderDraft draft(out_.string());
    write(draft.contents() / "a", "1");
    draft.commit();
  }
  EXPECT_EQ(io::read_file(out_ / "a"), "1");
  EXPECT_FALSE(fs::exists(out_ / "half"));
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(Draft, NeverRemovesWhatIsNotADraft) {
  write(draft_ / "contents" / "a", "");
  write(draft_ / "notes", "theirs");
  EXPECT_THAT([&] { FolderDraft(out_.string()); }, ThrowsMessage<base::ConfigError>(HasSubstr("not a draft")));
  EXPECT_TRUE(fs::exists(draft_ / "contents" / "a"));
  fs::remove_all(draft_);
  write(draft_, "a file");
  EXPECT_THAT([&] { FolderDraft(out_.string()); }, ThrowsMessage<base::ConfigError>(HasSubstr("not a draft")));
  EXPECT_EQ(io::read_file(draft_), "a file");
}

TEST_F(Draft, IsWrittenByOneProcessAtATime) {
  FolderDraft draft(out_.string());
  write(draft.contents() / "a", "1");
  EXPECT_THAT([&] { FolderDraft(out_.string()); }, ThrowsMessage<io::LockedError>(HasSubstr("in use by process")));
  draft.commit();
  EXPECT_EQ(io::read_file(out_ / "a"), "1");
}

}  // namespace
}  // namespace grpo::app
