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

/// A run's hold on its folder, from the plan of its start to its end. Through the file `.lock` in the folder only one
/// process at a time, or the ranks of one run, can have it. All ranks make the same calls; rank 0 does the work and the
/// others are told of it.
class RunStart {
 public:
  /// Plans the start, and takes the lock if the folder exists. Throws what plan_start() throws, and io::LockedError
  /// naming the process that holds the folder.
  RunStart(const RunConfig& run, const std::string& resume, dist::Communicator& communicator);
  /// Lets go of the folder. Without a call of begin() it is as it was before.
  ~RunStart();
  RunStart(const RunStart&) = delete;
  RunStart& operator=(const RunStart&) = delete;

  const std::filesystem::path& folder() const { return plan_.folder; }
  const std::optional<std::filesystem::path>& checkpoint() const { return plan_.checkpoint; }

  /// Carries out the plan and writes run.json and config.yaml, after a check that every rank sees the same folder. Call
  /// it when everything that can be wrong with a run has been checked. Ranks other than 0 log into
  /// <folder>/logs/rank_<5 digits>.log from then on.
  void begin(const TrainConfig& config);

  /// Throws base::IoError on rank 0 when the folder has been moved, replaced or removed since begin(). To go on writing
  /// by its name would leave half a run where nobody looks for it.
  void check_still_there() const;

 private:
  std::filesystem::path lock_path() const { return plan_.folder / ".lock"; }
  void make_folder();
  void check_shared();
  void set_aside_done(const std::filesystem::path& now_at);

  dist::Communicator& communicator_;
  StartPlan plan_;
  std::unique_ptr<io::FileLock> lock_;  // of rank 0; null on the others
  bool made_folder_ = false;            // whether this start has made the folder
  int held_folder_ = -1;  // rank 0's descriptor of the folder, which keeps its inode from being used for another one
};

}  // namespace grpo::trainer
