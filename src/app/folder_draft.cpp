#include "app/folder_draft.h"

#include <algorithm>
#include <system_error>

#include "grpo/base/error.h"

namespace grpo::app {
namespace fs = std::filesystem;
namespace {

constexpr const char* kSuffix = ".tmp-grpo-export";
constexpr const char* kContents = "contents";
constexpr const char* kLock = ".lock";

// The same folder without a slash at its end, to which kSuffix can be added.
fs::path without_slash(const std::string& folder) {
  if (folder.empty()) throw base::ConfigError("the name of the folder to make is empty");
  const auto path = fs::weakly_canonical(fs::absolute(folder));
  return path.has_filename() ? path : path.parent_path();
}

void check_free(const fs::path& target) {
  if (!fs::exists(target) || (fs::is_directory(target) && fs::is_empty(target))) return;
  throw base::ConfigError(target.string() + ": is there and not empty; nothing was overwritten");
}

bool is_draft(const fs::path& folder) {
  if (fs::is_symlink(folder) || !fs::is_directory(folder)) return false;
  return std::all_of(fs::directory_iterator(folder), fs::directory_iterator(), [](const fs::directory_entry& entry) {
    return entry.path().filename() == kContents || entry.path().filename() == kLock;
  });
}

}  // namespace

FolderDraft::FolderDraft(const std::string& target) : target_(without_slash(target)), draft_(target_) {
  check_free(target_);
  draft_ += kSuffix;
  if (fs::exists(fs::symlink_status(draft_)) && !is_draft(draft_))
    throw base::ConfigError(draft_.string() + ": is in the way, and not a draft; move it, or choose another folder");
  std::error_code failed;
  fs::create_directories(draft_, failed);
  if (failed) throw base::IoError(draft_.string() + ": cannot be made: " + failed.message());
  lock_.emplace(draft_ / kLock);
  lock_->keep();
  fs::remove_all(contents());
}

// What cannot be removed now is replaced by the next draft.
FolderDraft::~FolderDraft() {
  std::error_code ignored;
  fs::remove_all(contents(), ignored);
  lock_.reset();
  fs::remove(draft_, ignored);
}

fs::path FolderDraft::contents() const { return draft_ / kContents; }

void FolderDraft::commit() {
  std::error_code failed;
  fs::rename(contents(), target_, failed);
  if (failed) throw base::IoError(target_.string() + ": cannot be put in place: " + failed.message());
}

}  // namespace grpo::app
