// Starts in folders that are not as a run leaves them: what is somebody else's stays, and what a start would take away
// is named and kept.
#include "trainer/start_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "support/held_file.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kRunJson = R"({"version": "1", "starts": []})";

class StartPlanTest : public ::testing::Test {
 protected:
  void SetUp() override { base::set_quiet(true); }

  void put(const fs::path& file, const std::string& text) {
    fs::create_directories((folder_ / file).parent_path());
    io::write_file_atomic(folder_ / file, text);
  }
  void put_checkpoint(int64_t step) {
    checkpoint::Store(folder_ / "checkpoints").save(step, {.keep = 100}, [step](const fs::path& folder) {
      io::write_file_atomic(folder / "state.json", base::concat("{\"step\": ", step, "}"));
    });
  }
  // Six steps with a checkpoint at 2, 4 and 6.
  void put_run() {
    put("run.json", kRunJson);
    std::string metrics;
    for (int64_t step = 1; step <= 6; ++step) {
      metrics += base::concat("{\"step\":", step, "}\n");
      put("rollouts/" + checkpoint::step_name(step) + ".jsonl", "rollouts");
      if (step % 2 == 0) put_checkpoint(step);
    }
    put("eval/step_00000006_heldout.jsonl", "answers");
    put("metrics.jsonl", metrics);
  }
  StartPlan plan(const std::string& resume = "auto") { return plan_start(run_, resume); }
  std::string error_of(const std::string& resume = "auto") {
    const auto before = files_below(dir_.path());
    try {
      plan(resume);
    } catch (const base::Error& error) {
      EXPECT_EQ(files_below(dir_.path()), before) << "a plan changed something";
      return error.what();
    }
    return "no error";
  }
  std::vector<std::string> unfinished() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
      if (entry.path().filename().string().find(".tmp") != std::string::npos) names.push_back(entry.path());
    }
    return names;
  }
  fs::path checkpoint_of(int64_t step) const { return folder_ / "checkpoints" / checkpoint::step_name(step); }

  testing::TempDir dir_;
  RunConfig run_{.name = "run", .seed = 1, .output = (dir_.path() / "out").string()};
  fs::path folder_ = dir_.path() / "out" / "run";
};

TEST_F(StartPlanTest, NamesThatLeaveTheOutputFolderAreRefused) {
  fs::create_directories(dir_.path() / "out");
  fs::create_directory_symlink(dir_.path(), dir_.path() / "out" / "link");
  for (const char* name : {"", ".", "..", "../other", "a/../../b", "/tmp/absolute", "a/.", "link", "link/deeper"}) {
    run_.name = name;
    EXPECT_THAT(error_of(), HasSubstr("leaves run.output")) << name;
  }
  run_.name = "sweep/first";
  EXPECT_NO_THROW(plan());
}

TEST_F(StartPlanTest, AFolderOfSomebodyElseIsNotTouched) {
  for (const char* file :
       {"checkpoints/global_step_100/actor/model.pt", "eval/results.json", "rollouts/step_00000009.jsonl",
        "metrics.jsonl", "events/theirs", "config.yaml", "logs/theirs"}) {
    fs::remove_all(folder_);
    put(file, "theirs");
    for (const char* resume : {"auto", "never"})
      EXPECT_THAT(error_of(resume), HasSubstr("it is not a run of this program")) << file;
  }
}

TEST_F(StartPlanTest, AFileThatIsNoRunJsonOfOursDoesNotMakeAFolderOurs) {
  for (const char* text :
       {"{}", "[]", "", "null", "not JSON", R"({"starts": {}, "version": "1"})", R"({"version": 1, "starts": []})"}) {
    put_run();
    put("run.json", text);
    EXPECT_THAT(error_of(), HasSubstr("its run.json is none of this program's")) << text;
  }
}

TEST_F(StartPlanTest, FilesWhereNoneOfOursGoDoNotMatter) {
  put("job.log", "of the shell that starts the run");
  EXPECT_EQ(plan().before, Before::kNothing);
}

TEST_F(StartPlanTest, LinksThatLeadOutOfTheRunAreRefused) {
  for (const char* name : {"rollouts", "checkpoints", "metrics.jsonl"}) {
    fs::remove_all(folder_);
    put_run();
    fs::rename(folder_ / name, dir_.path() / name);
    fs::create_symlink(dir_.path() / name, folder_ / name);
    EXPECT_THAT(error_of(), HasSubstr("is a link to")) << name;
    fs::remove_all(dir_.path() / name);
  }
}

TEST_F(StartPlanTest, ContinuesFromTheNewestCheckpointAndRepeatsOnlyWhatCameAfterIt) {
  put_run();
  put("rollouts/step_00000007.jsonl", "rollouts");
  put("rollouts/step_00000007.notes", "theirs");
  put("rollouts/step_abcdefgh.jsonl", "theirs");
  put("eval/step_00000007", "theirs");
  put("metrics.jsonl.tmp-123-4", "left by a kill -9");
  const auto start = plan();
  EXPECT_EQ(start.step, 6);
  carry_out(start);
  EXPECT_FALSE(fs::exists(folder_ / "rollouts" / "step_00000007.jsonl"));
  EXPECT_FALSE(fs::exists(folder_ / "metrics.jsonl.tmp-123-4"));
  for (const char* theirs : {"rollouts/step_00000007.notes", "rollouts/step_abcdefgh.jsonl", "eval/step_00000007"})
    EXPECT_TRUE(fs::exists(folder_ / theirs)) << theirs;
}

TEST_F(StartPlanTest, GoingBackKeepsWhatCameLater) {
  put_run();
  carry_out(plan((checkpoint_of(2) / "").string()));
  EXPECT_EQ(io::read_file(folder_ / "metrics.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
  for (const char* kept : {"checkpoints/step_00000004/MANIFEST", "checkpoints/step_00000006/MANIFEST",
                           "rollouts/step_00000003.jsonl", "eval/step_00000006_heldout.jsonl", "metrics.jsonl"}) {
    EXPECT_TRUE(fs::exists(folder_ / "aside.1" / kept)) << kept;
  }
  EXPECT_FALSE(fs::exists(checkpoint_of(4)));
}

TEST_F(StartPlanTest, StartingOverKeepsWhatTheInterruptedStartMade) {
  put("run.json", kRunJson);
  put("metrics.jsonl", "{\"step\":1}\n");
  carry_out(plan());
  EXPECT_EQ(io::read_file(folder_ / "aside.1" / "metrics.jsonl"), "{\"step\":1}\n");
  EXPECT_FALSE(fs::exists(folder_ / "metrics.jsonl"));
}

// Going back copies them: a copy that fails must not find the checkpoints gone already.
TEST_F(StartPlanTest, GoingBackMovesNoCheckpointBeforeAllElseIsKept) {
  put_run();
  fs::create_directories(folder_ / "events");
  ASSERT_EQ(::mkfifo((folder_ / "events" / "no_file").c_str(), 0600), 0);
  const auto back = plan(checkpoint_of(2).string());
  EXPECT_THROW(carry_out(back), fs::filesystem_error);
  for (const int64_t step : {2, 4, 6}) EXPECT_TRUE(fs::exists(checkpoint_of(step) / "MANIFEST")) << step;
  EXPECT_TRUE(fs::exists(folder_ / "rollouts" / "step_00000006.jsonl"));
  EXPECT_EQ(plan().step, 6);
}

TEST_F(StartPlanTest, StartingOverLeavesNothingOfACheckpointThatWasHalfWritten) {
  put("run.json", kRunJson);
  put("metrics.jsonl", "{\"step\":1}\n{\"step\":2}\n");
  put("checkpoints/.tmp-step_00000002/optimizer.safetensors.tmp-123-4", "half");
  put("checkpoints/.tmp-step_00000002-rank_1/optimizer.safetensors", "its part");
  EXPECT_EQ(plan().before, Before::kStartOver);
  carry_out(plan());
  EXPECT_THAT(unfinished(), IsEmpty());
  EXPECT_TRUE(fs::exists(folder_ / "aside.1" / "metrics.jsonl"));
}

// It would stay in aside.1/ for good, where nothing is removed.
TEST_F(StartPlanTest, StartingOverKeepsAnUnfinishedSaveThatCannotBeRemovedYetWhereTheNextSaveFindsIt) {
  put("run.json", kRunJson);
  put("metrics.jsonl", "{\"step\":1}\n");
  put("checkpoints/notes.txt", "theirs");
  const fs::path half = "checkpoints/.tmp-step_00000002/model/weights";
  put(half, "half");
  if (!testing::hold(folder_ / half, true)) GTEST_SKIP() << "no file can be held here";
  carry_out(plan());
  EXPECT_TRUE(fs::exists(folder_ / half));
  EXPECT_TRUE(testing::hold(folder_ / half, false));
  EXPECT_TRUE(fs::exists(folder_ / "aside.1" / "checkpoints" / "notes.txt"));
  put_checkpoint(2);
  EXPECT_THAT(unfinished(), IsEmpty());
}

TEST_F(StartPlanTest, EveryStartRemovesFilesThatAKillLeftHalfWritten) {
  for (const std::string resume : {"no checkpoint", "no results", "auto", "back"}) {
    fs::remove_all(folder_);
    if (resume == "auto" || resume == "back") put_run();
    if (resume == "no checkpoint") put("metrics.jsonl", "{\"step\":1}\n");
    put("run.json", kRunJson);
    for (const char* file : {"run.json", "config.yaml", "metrics.jsonl"}) put(file + std::string(".tmp-123-4"), "half");
    if (resume != "no results") {
      put("events/events.out.tfevents.1.grpo.2.0.tmp-123-5", "half");
      put("checkpoints/last_good.tmp-123-6", "half");
    }
    carry_out(plan(resume == "back" ? checkpoint_of(2).string() : "auto"));
    EXPECT_THAT(unfinished(), IsEmpty()) << resume;
  }
}

TEST_F(StartPlanTest, ADamagedNewestCheckpointStopsAndNamesTheWayOut) {
  const std::vector<std::function<void()>> damages = {
      [&] { fs::remove(checkpoint_of(6) / "MANIFEST"); },
      [&] { fs::remove(checkpoint_of(6) / "state.json"); },
      [&] { io::write_file_atomic(checkpoint_of(6) / "state.json", "{\"step\": 7}"); },
      [&] { io::write_file_atomic(checkpoint_of(6) / "state.json", ""); },
      [&] { io::write_file_atomic(checkpoint_of(6) / "MANIFEST", "{}"); },
      [&] { io::write_file_atomic(checkpoint_of(6) / "MANIFEST", "[]"); },
  };
  for (size_t i = 0; i < damages.size(); ++i) {
    fs::remove_all(folder_);
    put_run();
    damages[i]();
    EXPECT_THAT(error_of(), HasSubstr("--resume " + checkpoint_of(4).string())) << i;
  }
}

TEST_F(StartPlanTest, CheckpointsThatChangedPlacesAreNoticed) {
  put_run();
  fs::rename(checkpoint_of(4), folder_ / "other");
  fs::rename(checkpoint_of(6), checkpoint_of(4));
  fs::rename(folder_ / "other", checkpoint_of(6));
  const std::string message = error_of();
  EXPECT_THAT(message, HasSubstr("holds step 4, not the one it is named after"));
  EXPECT_THAT(message, HasSubstr("--resume " + checkpoint_of(2).string()));
}

TEST_F(StartPlanTest, ARunWithoutAWholeCheckpointStopsAndSaysSo) {
  put_run();
  for (const int64_t step : {2, 4, 6}) fs::remove(checkpoint_of(step) / "MANIFEST");
  EXPECT_THAT(error_of(), HasSubstr("No checkpoint of this run is whole"));
}

TEST_F(StartPlanTest, NeverRenamesTheRunAndTouchesNothingInIt) {
  put_run();
  const auto before = files_below(folder_);
  EXPECT_EQ(carry_out(plan("never")), dir_.path() / "out" / "run.1");
  EXPECT_EQ(files_below(dir_.path() / "out" / "run.1"), before);
}

}  // namespace
}  // namespace grpo::trainer
