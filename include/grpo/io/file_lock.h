#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "grpo/base/error.h"

namespace grpo::io {

/// Another process holds the lock.
class LockedError : public base::Error {
  using Error::Error;
};

/// A file that one process at a time holds (flock). The kernel releases the lock when the process that holds it ends,
/// also when it is killed, so a file that is left behind locks nothing. On a network file system flock reaches other
/// hosts where the mount allows it (NFS from version 3 on Linux, Lustre with -o flock). Where flock is refused, the
/// only other holder that is noticed is a living process of this host that the file names.
class FileLock {
 public:
  /// Takes the lock and writes this process's host, id and start time into the file. While another process holds the
  /// lock this throws LockedError, which names that process, its host and since when it holds the lock.
  explicit FileLock(const std::filesystem::path& path);
  /// Restores what was there before: a file that existed gets its old text back, a file
  /// that this lock created is removed.
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// Makes the destructor remove the file even if it existed before.
  void keep() { before_.reset(); }
  /// The text that this lock wrote into the file. It contains the time in nanoseconds, so
  /// no two locks have the same text.
  const std::string& text() const { return text_; }
  /// To be called after the folder with the file was renamed, so that the destructor finds the file.
  void moved_to(const std::filesystem::path& path) { path_ = path; }

 private:
  bool is_still_there() const;

  std::filesystem::path path_;
  int fd_ = -1;
  std::string text_;
  std::optional<std::string> before_;  // the text of an earlier holder; none if the file was new or empty
};

}  // namespace grpo::io
