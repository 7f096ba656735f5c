#include "grpo/checkpoint/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"

namespace grpo::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

void write_one(const fs::path& folder, const std::string& text) {
  fs::create_directories(folder / "model");
  io::write_file_atomic(folder / "state.json", text);
  io::write_file_atomic(folder / "model" / "weights", text + text);
}

class StoreTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  fs::path folder_ = dir_.path() / "checkpoints";
  Store store_{folder_};
  void save(int64_t step, int64_t keep = 3) {
    store_.save(step, keep, [](const fs::path& folder) { write_one(folder, "contents"); });
  }
};

TEST_F(StoreTest, KeepsTheNewestAndNamesThemByEightDigits) {
  for (const int64_t step : {10, 20, 30}) save(step, 2);
  EXPECT_THAT(store_.steps(), ElementsAre(20, 30));
  EXPECT_TRUE(fs::exists(folder_ / "step_00000030" / "MANIFEST"));
  EXPECT_NO_THROW(verify(store_.path_of(30)));
}

TEST_F(StoreTest, LeavesEarlierCheckpointsWhenAWriteFails) {
  save(10);
  EXPECT_THROW(store_.save(20, 3, [](const fs::path& folder) {
    write_one(folder, "half");
    throw std::runtime_error("no space left on device");
  }), base::IoError);
  EXPECT_THAT(store_.steps(), ElementsAre(10));
  EXPECT_FALSE(fs::exists(folder_ / ".tmp-step_00000020"));
}

TEST_F(StoreTest, RemovesWhatACrashLeft) {
  save(10);
  write_one(folder_ / ".tmp-step_00000020", "half");
  write_one(folder_ / "step_00000030", "without manifest");
  store_.remove_leftovers();
  EXPECT_THAT(store_.steps(), ElementsAre(10));
  EXPECT_FALSE(fs::exists(folder_ / ".tmp-step_00000020"));
  EXPECT_FALSE(fs::exists(folder_ / "step_00000030"));
}

TEST_F(StoreTest, RemovesCheckpointsAfterTheStepARunContinuesFrom) {
  for (const int64_t step : {10, 20, 30}) save(step);
  store_.remove_leftovers(20);
  EXPECT_THAT(store_.steps(), ElementsAre(10, 20));
}

TEST_F(StoreTest, ReplacesACheckpointOfTheSameStep) {
  save(10);
  store_.save(10, 3, [](const fs::path& folder) { write_one(folder, "new"); });
  EXPECT_EQ(io::read_file(store_.path_of(10) / "state.json"), "new");
  EXPECT_THAT(store_.steps(), ElementsAre(10));
}

TEST_F(StoreTest, NamesTheFileThatWasDamaged) {
  save(10);
  io::write_file_atomic(store_.path_of(10) / "model" / "weights", "contentscontentz");
  try {
    verify(store_.path_of(10));
    FAIL() << "a damaged file was not found";
  } catch (const base::CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model/weights"));
  }
}

TEST_F(StoreTest, NamesTheFileThatIsMissing) {
  save(10);
  fs::remove(store_.path_of(10) / "state.json");
  try {
    verify(store_.path_of(10));
    FAIL() << "a missing file was not found";
  } catch (const base::CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("state.json: listed in MANIFEST but missing"));
  }
}

}  // namespace
}  // namespace grpo::checkpoint
