#pragma once

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <filesystem>

namespace grpo::testing {

/// Makes a file one that cannot be removed, as one that another process reads is on NFS. Whom permissions bind may not
/// change the file's folder then; root needs a flag that not every file system has. Returns whether that was possible.
inline bool hold(const std::filesystem::path& file, bool held) {
  namespace fs = std::filesystem;
  if (::geteuid() != 0) {
    fs::permissions(file.parent_path(), fs::perms::owner_write,
                    held ? fs::perm_options::remove : fs::perm_options::add);
    return true;
  }
  const int handle = ::open(file.c_str(), O_RDONLY);
  int flags = held ? FS_IMMUTABLE_FL : 0;
  const bool done = handle >= 0 && ::ioctl(handle, FS_IOC_SETFLAGS, &flags) == 0;
  ::close(handle);
  return done;
}

}  // namespace grpo::testing
