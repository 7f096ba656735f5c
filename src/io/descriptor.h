#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

namespace grpo::io {

/// Throws base::IoError("PATH: WHAT: REASON"), where REASON is the text of the current errno.
[[noreturn]] void fail(const std::filesystem::path& path, const char* what);

/// A file descriptor that closes itself.
class Descriptor {
 public:
  /// flags and mode as for open(2). Throws base::IoError.
  Descriptor(const std::filesystem::path& path, int flags, mode_t mode = 0644);
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

  /// Reads at most `size` bytes and returns how many; 0 means the end of the file. `path` is only for messages.
  size_t read_some(char* buffer, size_t size, const std::filesystem::path& path) const;

 private:
  int fd_;
};

/// Opens a regular file for reading. A FIFO, a socket or a device is an error, since reading one may never end.
Descriptor open_regular(const std::filesystem::path& path);

/// Writes all of `bytes`, however many calls of write(2) that takes; `path` is only for messages. Waits for room where
/// a program that shares a pipe or terminal with this one has made it non-blocking.
void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path);

}  // namespace grpo::io
