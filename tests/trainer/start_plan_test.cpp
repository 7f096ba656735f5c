// Starts in folders that are not as a run leaves them: what is somebody else's stays, and what a start would take away
// is named and kept.
#include "trainer/start_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/file.h"
#include "support/golden.h"
#include "trainer/tiny_run.h"

namespace grpo::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

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
