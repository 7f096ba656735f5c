#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "grpo/dist/communicator.h"
#include "grpo/io/file_lock.h"
#include "grpo/trainer/train_config.h"
#include "trainer/start_plan.h"

namespace grpo::trainer {

/// A run's hold on its folder, from the plan of its start to its end: one process, or the ranks of one run, at a time
/// (`.lock` in the folder). All ranks make the same calls; rank 0 does the work and the others learn of it.
class RunStart {
 public:
  /// Plans, and takes the lock of a folder that is there. Throws what plan_start throws, and io::LockedError naming the
  /// process that holds the folder.
  RunStart(const RunConfig& run, const std::string& resume, dist::Communicator& communicator);
  /// Lets go. Without begin() everything is as it was.
  ~RunStart();
  RunStart(const RunStart&) = delete;
  RunStart& operator=(const RunStart&) = delete;

  const std::filesystem::path& folder() const { return plan_.folder; }
  const std::optional<std::filesystem::path>& checkpoint() const { return plan_.checkpoint; }

  /// To be called when all that can be wrong has been checked: carries out the plan, writes run.json and config.yaml.
  /// Checks that every rank sees the same folder. Ranks other than 0 log into <folder>/logs/rank_<5 digits>.log from
  /// then on.
  void begin(const TrainConfig& config);

  /// Throws base::IoError when the folder has been moved, replaced or removed since begin(): what is written by its
  /// name would make half a run where nobody looks for it.
  void check_still_there() const;

 private:
  std::filesystem::path lock_path() const { return plan_.folder / ".lock"; }
  void make_folder();
  void check_shared();
  void set_aside_done(const std::filesystem::path& now_at);

  dist::Communicator& communicator_;
  StartPlan plan_;
  std::unique_ptr<io::FileLock> lock_;  // rank 0's
  bool made_folder_ = false;
  int held_folder_ = -1;  // keeps its inode from being given to another
};

}  // namespace grpo::trainer
