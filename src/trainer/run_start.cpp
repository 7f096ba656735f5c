#include "trainer/run_start.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/log_hold.h"
#include "grpo/config/config.h"
#include "grpo/io/file.h"
#include "trainer/run_folder.h"

namespace grpo::trainer {
namespace fs = std::filesystem;

RunStart::RunStart(const RunConfig& run, const std::string& resume, dist::Communicator& communicator)
    : communicator_(communicator) {
  communicator_.enter_phase("the run folder");
  if (communicator_.rank() == 0) {
    plan_.folder = folder_of(run);
    check_ours(plan_.folder);  // first, so that no lock file is left in somebody else's folder
    if (fs::is_directory(plan_.folder)) lock_ = std::make_unique<io::FileLock>(lock_path());
    plan_ = plan_start(run, resume);
  } else {
    base::hold_log();
  }
  if (communicator_.size() == 1) return;
  const std::string checkpoint = communicator_.all_gather_bytes(plan_.checkpoint ? plan_.checkpoint->string() : "")[0];
  if (communicator_.rank() == 0) return;
  plan_.folder = fs::path(run.output) / run.name;
  if (!checkpoint.empty()) plan_.checkpoint = checkpoint;
}

RunStart::~RunStart() {
  lock_.reset();
  if (held_folder_ >= 0) ::close(held_folder_);
  std::error_code ignored;
  if (made_folder_) fs::remove(plan_.folder, ignored);  // does nothing unless the folder is empty
}

void RunStart::begin(const TrainConfig& config) {
  communicator_.enter_phase("the run folder");
  if (communicator_.rank() == 0 && !lock_) make_folder();
  check_shared();
  if (communicator_.rank() == 0) {
    const fs::path now_at = carry_out(plan_);
    if (plan_.before == Before::kSetAside) set_aside_done(now_at);
    const bool continues = plan_.checkpoint.has_value();
    // run.json comes first, because it is what makes the folder one of this program's.
    write_run_json(plan_.folder, config, continues ? std::optional(plan_.step) : std::nullopt);
    io::write_file_atomic(plan_.folder / "config.yaml",
                          config::to_yaml(base::fields_of(const_cast<TrainConfig&>(config))));
    lock_->keep();
    held_folder_ = ::open(plan_.folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  }
  if (communicator_.size() == 1) return;
  communicator_.barrier("the run folder");
  if (communicator_.rank() == 0) return;
  char name[32];
  std::snprintf(name, sizeof name, "rank_%05lld.log", static_cast<long long>(communicator_.rank()));
  fs::create_directories(plan_.folder / "logs");
  base::log_to_file(plan_.folder / "logs" / name);
}

void RunStart::check_still_there() const {
  struct stat held {
  }, there{};
  if (held_folder_ < 0 || ::fstat(held_folder_, &held) != 0) return;
  if (::stat(plan_.folder.c_str(), &there) == 0 && held.st_ino == there.st_ino && held.st_dev == there.st_dev) return;
  std::error_code unknown;
  const fs::path now_at = fs::read_symlink(base::concat("/proc/self/fd/", held_folder_), unknown);
  throw base::IoError(
      base::concat(plan_.folder.string(), " was moved, replaced or removed while the run went on",
                   unknown ? "" : "; its folder is now " + now_at.string(),
                   ". Nothing more is written; start again with run.output and run.name as they are now"));
}

// Makes the folder and takes its lock. Since the plan was made, another process may have begun the same run.
void RunStart::make_folder() {
  made_folder_ = fs::create_directories(plan_.folder);
  lock_ = std::make_unique<io::FileLock>(lock_path());
  if (is_run(plan_.folder))
    throw io::LockedError(plan_.folder.string() + ": another process has begun this run meanwhile");
  check_ours(plan_.folder);
}

// Checks that all ranks see one folder, by looking for rank 0's lock in it. On hosts with folders of their own, each
// would write a part of the run and none a whole one.
void RunStart::check_shared() {
  if (communicator_.size() == 1) return;
  const std::string expected = communicator_.all_gather_bytes(lock_ ? lock_->text() : "")[0];
  const bool same = lock_ || (fs::exists(lock_path()) && io::read_file(lock_path()) == expected);
  const auto all = communicator_.all_gather({same ? 1.0 : 0.0});
  const auto other = std::find_if(all.begin(), all.end(), [](const auto& values) { return values[0] == 0.0; });
  if (other == all.end()) return;
  const auto folders = communicator_.all_gather_bytes(plan_.folder.parent_path().string());
  const auto rank = static_cast<size_t>(other - all.begin());
  throw base::ConfigError(base::concat("run.output ", folders[rank], " on rank ", rank,
                                       " is not the folder that rank 0 sees; name one that all hosts share"));
}

// The folder was renamed, and the lock file in it with it. That lock is let go, and a new folder with a new lock is
// made.
void RunStart::set_aside_done(const fs::path& now_at) {
  lock_->moved_to(now_at / ".lock");
  lock_->keep();
  lock_.reset();
  make_folder();
}

}  // namespace grpo::trainer
