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

/// A file that one process at a time holds (flock). The kernel lets go of it when its holder ends, however it ends, so
/// a file that is left behind locks nothing. On a network file system flock reaches other hosts where the mount allows
/// it (NFS from version 3 on Linux, Lustre with -o flock); where it is refused, only what the file says can be told.
class FileLock {
 public:
  /// Takes the lock and writes this process into it. Throws LockedError, naming the host, the process and the
  /// time it began, while another process holds it.
  explicit FileLock(const std::filesystem::path& path);
  /// Leaves things as they were before: a file that was there gets its old text back, any other is removed.
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// From now on the file is this process's own: the destructor removes it.
  void keep() { before_.reset(); }
  /// What the file says: who holds it. Differs from every other lock's.
  const std::string& text() const { return text_; }
  /// The file has been moved, with the folder it is in.
  void moved_to(const std::filesystem::path& path) { path_ = path; }

 private:
  bool is_still_there() const;

  std::filesystem::path path_;
  int fd_ = -1;
  std::string text_;
  std::optional<std::string> before_;  // what an earlier holder left
};

}  // namespace grpo::io
