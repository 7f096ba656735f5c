#include "grpo/checkpoint/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <stdexcept>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/held_file.h"

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
    store_.save(step, {.keep = keep}, [](const fs::path& folder) { write_one(folder, "contents"); });
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
  EXPECT_THROW(store_.save(20, {.retry_after = {}},
                           [](const fs::path& folder) {
                             write_one(folder, "half");
                             throw std::runtime_error("no space left on device");
                           }),
               base::IoError);
  EXPECT_THAT(store_.steps(), ElementsAre(10));
  EXPECT_FALSE(fs::exists(folder_ / ".tmp-step_00000020"));
}

TEST_F(StoreTest, RemovesWhatACrashLeft) {
  save(10);
  write_one(folder_ / ".tmp-step_00000020", "half");
  write_one(folder_ / ".tmp-step_00000020-rank_1", "a part");
  store_.remove_leftovers();
  EXPECT_THAT(store_.steps(), ElementsAre(10));
  EXPECT_FALSE(fs::exists(folder_ / ".tmp-step_00000020"));
  EXPECT_FALSE(fs::exists(folder_ / ".tmp-step_00000020-rank_1"));
}

TEST_F(StoreTest, NeverRemovesWhatItDidNotMake) {
  const std::vector<std::string> names = {"step_00000001", "global_step_100", ".tmp-mine", ".tmp-step_x",
                                          "step_0000000x", "step_123",        "notes"};
  for (const auto& name : names) write_one(folder_ / name, "theirs");
  for (const int64_t step : {10, 20, 30}) save(step, 1);
  store_.remove_leftovers();
  for (const auto& name : names) EXPECT_EQ(io::read_file(folder_ / name / "state.json"), "theirs") << name;
  EXPECT_THAT(store_.steps(), ElementsAre(30));
  EXPECT_THAT(store_.all_steps(), ElementsAre(1, 30));
}

TEST_F(StoreTest, NeverRemovesACheckpointInWhichSomebodyElseLeftAFile) {
  save(10);
  io::write_file_atomic(store_.path_of(10) / "model" / "my_results.txt", "theirs");
  for (const int64_t step : {20, 30, 40}) save(step, 1);
  EXPECT_THAT(store_.steps(), ElementsAre(10, 40));
  EXPECT_EQ(io::read_file(store_.path_of(10) / "model" / "my_results.txt"), "theirs");
}

TEST_F(StoreTest, ACheckpointThatCannotBeRemovedEndsNoRun) {
  save(10);
  if (!testing::hold(store_.path_of(10) / "model" / "weights", true)) GTEST_SKIP() << "no file can be held here";
  for (const int64_t step : {20, 30}) EXPECT_NO_THROW(save(step, 1));
  EXPECT_THAT(store_.steps(), ElementsAre(30));
  const auto left = folder_ / ".tmp-step_00000010";
  EXPECT_TRUE(fs::exists(left));
  EXPECT_TRUE(testing::hold(left / "model" / "weights", false));
  store_.remove_leftovers();
  EXPECT_FALSE(fs::exists(left));
}

TEST_F(StoreTest, PruningGetsPastWhatAnInterruptedSaveOfThatStepLeft) {
  for (const int64_t step : {10, 20}) save(step);
  write_one(folder_ / ".tmp-step_00000010", "half");
  EXPECT_THAT(store_.prune(1), ElementsAre(10));
  EXPECT_THAT(store_.steps(), ElementsAre(20));
}

TEST_F(StoreTest, TakesBackACheckpointThatWasAboutToBeReplaced) {
  save(10);
  fs::rename(store_.path_of(10), folder_ / ".tmp-old-step_00000010");
  store_.remove_leftovers();
  EXPECT_NO_THROW(verify(store_.path_of(10)));
}

TEST_F(StoreTest, TriesAFailedWriteAgain) {
  int calls = 0;
  store_.save(10, {.retry_after = {std::chrono::milliseconds(1)}}, [&](const fs::path& folder) {
    write_one(folder, "contents");
    if (++calls == 1) throw std::runtime_error("the server of this file system is busy");
  });
  EXPECT_EQ(calls, 2);
  EXPECT_NO_THROW(verify(store_.path_of(10)));
}

TEST_F(StoreTest, SaysWhatSpaceIsMissingBeforeItWrites) {
  save(10);
  bool wrote = false;
  try {
    store_.save(20, {.bytes = uint64_t{1} << 60, .retry_after = {}}, [&](const fs::path&) { wrote = true; });
    FAIL() << "an exabyte was there";
  } catch (const base::IoError& error) {
    EXPECT_THAT(error.what(), HasSubstr("kB are needed"));
  }
  EXPECT_FALSE(wrote);
  EXPECT_THAT(store_.steps(), ElementsAre(10));
}

// As when log lines go to a descriptor that meanwhile belongs to the file.
TEST_F(StoreTest, DoesNotVouchForBytesThatNobodyMeantToWrite) {
  EXPECT_THROW(store_.save(10, {.retry_after = {}},
                           [](const fs::path& folder) {
                             write_one(folder, "contents");
                             std::ofstream(folder / "model" / "weights", std::ios::app) << "a line of the log";
                           }),
               base::IoError);
  EXPECT_TRUE(store_.all_steps().empty());
}

TEST_F(StoreTest, KeepsAPinnedCheckpointBesideTheNewest) {
  for (const int64_t step : {10, 20, 30}) save(step, 9);
  EXPECT_THAT(store_.prune(1, 10), ElementsAre(20));
  EXPECT_THAT(store_.steps(), ElementsAre(10, 30));
}

TEST_F(StoreTest, SaysOfAnythingThatIsNoManifestThatItIsNone) {
  for (const std::string text :
       {"{}", "[]", "", "null", "{\"files\": []}", "{\"files\": {}}", "{\"files\": {\"a\": 1}}",
        "{\"files\": {\"../b\": {\"bytes\": 1, \"xxh3_128\": \"0\"}}}",
        "{\"files\": {\"a\": {\"bytes\": \"1\", \"xxh3_128\": 0}}}"}) {
    save(10);
    io::write_file_atomic(store_.path_of(10) / "MANIFEST", text + "\n");
    try {
      verify(store_.path_of(10));
      FAIL() << text << " was accepted";
    } catch (const base::CheckpointError& error) {
      EXPECT_THAT(error.what(), HasSubstr("MANIFEST: not the manifest of a checkpoint")) << text;
    }
  }
}

TEST_F(StoreTest, RefusesAManifestThatLostItsLastByte) {
  save(10);
  const auto manifest = store_.path_of(10) / "MANIFEST";
  std::filesystem::resize_file(manifest, std::filesystem::file_size(manifest) - 1);
  EXPECT_THROW(verify(store_.path_of(10)), base::CheckpointError);
}

TEST_F(StoreTest, RefusesAManifestOfAnotherFormatOrWithMoreAtItsEnd) {
  save(10);
  const auto manifest = store_.path_of(10) / "MANIFEST";
  const std::string text = io::read_file(manifest);
  std::string other = text;
  other[other.find(": 1") + 2] = '3';  // one bit
  for (const std::string& damaged : {text + "\n", text + " \n", other}) {
    io::write_file_atomic(manifest, damaged);
    EXPECT_THROW(verify(store_.path_of(10)), base::CheckpointError) << damaged;
  }
}

TEST_F(StoreTest, ReplacesACheckpointOfTheSameStep) {
  save(10);
  store_.save(10, {}, [](const fs::path& folder) { write_one(folder, "new"); });
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

TEST_F(StoreTest, SparesTheLastGoodOneUntilTheMarkIsGone) {
  save(10, 2);
  save(20, 2);
  store_.mark(Mark::kGood, 10);
  for (const int64_t step : {30, 40})
    Store(folder_).save(step, {.keep = 2}, [](const fs::path& folder) { write_one(folder, "contents"); });
  EXPECT_THAT(store_.steps(), ElementsAre(10, 30, 40));
  EXPECT_EQ(store_.marked(Mark::kGood), 10);
  store_.mark(Mark::kGood, std::nullopt);
  EXPECT_EQ(store_.marked(Mark::kGood), std::nullopt);
  EXPECT_THAT(store_.prune(2), ElementsAre(10));
}

TEST_F(StoreTest, KeepsTheBestOneUntilAnotherIsBetter) {
  const auto save_as = [this](int64_t step, bool best) {
    store_.save(step, {.keep = 1, .best = best}, [](const fs::path& folder) { write_one(folder, "contents"); });
  };
  save_as(10, true);
  save_as(20, false);
  save_as(30, false);
  EXPECT_THAT(store_.steps(), ElementsAre(10, 30));
  EXPECT_EQ(store_.marked(Mark::kBest), 10);
  EXPECT_EQ(store_.marked(Mark::kGood), std::nullopt);
  save_as(40, true);
  EXPECT_THAT(store_.steps(), ElementsAre(40));
}

// By hand, or by a disk that lost it.
TEST_F(StoreTest, AMarkThatNamesNothingMarksNothing) {
  save(10);
  for (const char* text : {"", "step_00000099\n", "step_1", "../step_00000010"}) {
    io::write_file_atomic(folder_ / "last_good", text);
    EXPECT_EQ(store_.marked(Mark::kGood), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace grpo::checkpoint
