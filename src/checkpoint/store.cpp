#include "grpo/checkpoint/store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <thread>

#include "checkpoint/manifest.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "grpo/io/output_file.h"

namespace grpo::checkpoint {
namespace fs = std::filesystem;
namespace {

constexpr const char* kTemporaryPrefix = ".tmp-";
constexpr const char* kOldPrefix = ".tmp-old-";
constexpr double kMargin = 1.02;  // allowance for what is not tensors: headers, JSON, the tokenizer's files

const char* file_of(Mark mark) { return mark == Mark::kGood ? "last_good" : "best"; }

void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) io::sync_path(entry.path());
  io::sync_path(folder);
}

uint64_t bytes_below(const fs::path& folder) {
  uint64_t bytes = 0;
  if (!fs::is_directory(folder)) return bytes;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    bytes += entry.is_regular_file() ? entry.file_size() : 0;
  return bytes;
}

// Checks that there is room for `bytes` in `folder`. Files that a failed attempt left there count as room.
void check_space(const fs::path& folder, uint64_t bytes) {
  const auto needed = static_cast<uint64_t>(kMargin * static_cast<double>(bytes));
  const uint64_t free = io::free_bytes(folder) + bytes_below(folder);
  if (free >= needed) return;
  throw base::IoError(base::concat("no space left on device: ", needed / 1000, " kB are needed and ", free / 1000,
                                   " kB are free; free some space, or lower checkpoint.keep"));
}

// A file in a checkpoint's folder that its MANIFEST does not list; "" when there is none.
std::string unlisted_file(const fs::path& checkpoint) {
  const Manifest listed = read_manifest(checkpoint);
  for (const auto& entry : fs::recursive_directory_iterator(checkpoint)) {
    const std::string name = entry.path().lexically_relative(checkpoint).string();
    if ((entry.is_symlink() || !entry.is_directory()) && name != kManifest && !listed.contains(name)) return name;
  }
  return {};
}

}  // namespace

bool is_unfinished_save(const std::string& name) {
  const std::string prefix = name.starts_with(kOldPrefix) ? kOldPrefix : kTemporaryPrefix;
  return name.starts_with(prefix) && step_of_name(name.substr(prefix.size(), step_name(0).size())).has_value();
}

std::string step_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step_%08lld", static_cast<long long>(step));
  return name;
}

std::optional<int64_t> step_of_name(const std::string& name) {
  if (name.size() != 13 || !name.starts_with("step_")) return std::nullopt;
  if (!std::all_of(name.begin() + 5, name.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return std::stoll(name.substr(5));
}

Store::Store(fs::path folder) : folder_(std::move(folder)) {}

fs::path Store::path_of(int64_t step) const { return folder_ / step_name(step); }

fs::path Store::folder_of_rank(int64_t step, int64_t rank) const {
  return folder_ / base::concat(kTemporaryPrefix, step_name(step), "-rank_", rank);
}

std::vector<int64_t> Store::all_steps() const {
  std::vector<int64_t> found;
  if (!fs::is_directory(folder_)) return found;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const auto step = step_of_name(entry.path().filename().string());
    if (step && entry.is_directory()) found.push_back(*step);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<int64_t> Store::steps() const {
  auto found = all_steps();
  std::erase_if(found, [this](int64_t step) { return !has(step); });
  return found;
}

bool Store::has(int64_t step) const { return fs::exists(path_of(step) / kManifest); }

void Store::mark(Mark mark, std::optional<int64_t> step) const {
  if (step == marked(mark)) return;
  const fs::path file = folder_ / file_of(mark);
  if (step) return io::write_file_atomic(file, step_name(*step) + "\n");
  fs::remove(file);
}

std::optional<int64_t> Store::marked(Mark mark) const {
  const fs::path file = folder_ / file_of(mark);
  if (!fs::is_regular_file(file)) return std::nullopt;
  const std::string line = io::read_file(file);
  const auto step = step_of_name(line.substr(0, line.find('\n')));
  return step && has(*step) ? step : std::nullopt;
}

void Store::save(int64_t step, const SavePlan& plan, const std::function<void(const fs::path&)>& write) {
  const fs::path temporary = folder_ / (kTemporaryPrefix + step_name(step));
  // One record for all attempts, since a second attempt may find files that the first has already put in place.
  const io::WriteRecord record;
  std::error_code ignored;
  for (size_t attempt = 0;; ++attempt) {
    try {
      if (attempt == 0) fs::remove_all(temporary);
      check_space(temporary, plan.bytes);
      fs::create_directories(temporary);
      write(temporary);
      write_manifest(temporary, record.files());
      finish(step, temporary);
      break;
    } catch (const std::exception& error) {
      const std::string what =
          base::concat(path_of(step).string(), ": the checkpoint could not be written: ", error.what());
      if (attempt == plan.retry_after.size()) {
        fs::remove_all(temporary, ignored);
        throw base::IoError(what + "; the checkpoints before it are as they were");
      }
      base::log_warning(base::concat(what, "; trying again in ", plan.retry_after[attempt].count(), " ms"));
      std::this_thread::sleep_for(plan.retry_after[attempt]);
    }
  }
  sync_name(step);
  remove_leftovers();
  if (plan.best) mark(Mark::kBest, step);
  prune(plan.keep, plan.pinned);
}

// Compares what is on the disk with the manifest, which says what was meant to be written.
void Store::finish(int64_t step, const fs::path& temporary) {
  sync_tree(temporary);
  verify(temporary);
  put_in_place(step, temporary);
}

// Lets the new name survive a power cut. The checkpoint is in place by now: nothing is won by writing it again, and the
// parts of other ranks, which were moved into it, could not be written again.
void Store::sync_name(int64_t step) const {
  try {
    io::sync_path(folder_);
  } catch (const base::IoError& error) {
    base::log_warning(
        base::concat(path_of(step).string(), " is in place, but a power cut could still undo that: ", error.what()));
  }
}

// A folder cannot be renamed over one that is not empty, but two folders can be exchanged at once.
void Store::put_in_place(int64_t step, const fs::path& temporary) {
  const fs::path target = path_of(step);
  if (!fs::exists(target)) return fs::rename(temporary, target);
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return;
  const fs::path old = folder_ / (kOldPrefix + step_name(step));
  fs::remove_all(old);
  fs::rename(target, old);  // if the process ends here, remove_leftovers() puts it back
  fs::rename(temporary, target);
}

void Store::remove_leftovers() {
  if (!fs::is_directory(folder_)) return;
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    if (is_unfinished_save(entry.path().filename().string())) leftovers.push_back(entry.path());
  }
  for (const auto& path : leftovers) {
    const std::string name = path.filename().string();
    const fs::path target =
        name.starts_with(kOldPrefix) ? folder_ / name.substr(std::string(kOldPrefix).size()) : fs::path();
    if (!target.empty() && !fs::exists(target) && fs::exists(path / kManifest)) {
      fs::rename(path, target);
    } else {
      remove(path);
    }
  }
}

// A file that another process reads cannot be removed on some file systems (NFS keeps it under another name in the
// folder). That ends no run: the next save or start removes what is left.
bool Store::remove(const fs::path& path) {
  std::error_code refused;
  fs::remove_all(path, refused);
  if (!refused) return true;
  if (left_.insert(path.filename().string()).second)
    base::log_warning(base::concat(path.string(), " could not be removed: ", refused.message()));
  return false;
}

bool Store::is_ours_alone(int64_t step) {
  try {
    const std::string other = unlisted_file(path_of(step));
    if (other.empty()) return true;
    if (spared_.insert(step).second)
      base::log_warning(base::concat(path_of(step).string(), " is not removed: ", other, " in it is not ours"));
  } catch (const std::exception& error) {
    if (spared_.insert(step).second) base::log_warning(base::concat("a checkpoint is not removed: ", error.what()));
  }
  return false;
}

// A folder is renamed before it is removed, so that a crash in between leaves no half checkpoint under a step's name.
std::vector<int64_t> Store::prune(int64_t keep, std::optional<int64_t> pinned) {
  auto old = steps();
  const auto good = marked(Mark::kGood), best = marked(Mark::kBest);
  old.resize(old.size() - std::min(old.size(), static_cast<size_t>(keep)));
  std::erase_if(old, [&](int64_t step) {
    return step == pinned || step == good || step == best || fs::is_symlink(path_of(step)) || !is_ours_alone(step);
  });
  std::erase_if(old, [&](int64_t step) {
    const fs::path doomed = folder_ / (kTemporaryPrefix + step_name(step));
    std::error_code refused;
    if (!remove(doomed)) return true;  // a save of this step that was interrupted may have left it
    fs::rename(path_of(step), doomed, refused);
    if (refused && spared_.insert(step).second)
      base::log_warning(base::concat(path_of(step).string(), " is not removed: ", refused.message()));
    if (!refused) remove(doomed);
    return static_cast<bool>(refused);
  });
  return old;
}

}  // namespace grpo::checkpoint
