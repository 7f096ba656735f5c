#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "grpo/io/file_lock.h"

namespace grpo::app {

/// A folder that comes to be as a whole or not at all: it is written beside its place, and commit() moves it there. The
/// draft is the folder <target>.tmp-grpo-export with the contents and a lock. One that was left behind by a process
/// that was killed holds nothing but these two, and is replaced; anything else is never removed.
class FolderDraft {
 public:
  /// target: the folder to make, with or without a slash at its end. Its parents are made. Throws base::ConfigError if
  /// the target is there and not empty, or what lies in the draft's place is none; io::LockedError while another
  /// process writes it.
  explicit FolderDraft(const std::string& target);
  /// Removes a draft that was not committed.
  ~FolderDraft();
  FolderDraft(const FolderDraft&) = delete;
  FolderDraft& operator=(const FolderDraft&) = delete;

  /// Where to write the contents: a folder that is not there yet, in one that is.
  std::filesystem::path contents() const;
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path draft_;
  std::optional<io::FileLock> lock_;
};

}  // namespace grpo::app
