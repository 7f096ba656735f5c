#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

namespace grpo::io {

/// Throws base::IoError "PATH: WHAT: reason" with the reason in errno.
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

  /// Reads at most `size` bytes and returns how many; 0 at the end. `path` is for the message.
  size_t read_some(char* buffer, size_t size, const std::filesystem::path& path) const;

 private:
  int fd_;
};

/// A regular file to read. A FIFO, a socket or a device is an error: reading one may never end.
Descriptor open_regular(const std::filesystem::path& path);

/// Writes all of `bytes`; `path` is for the message.
void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path);

}  // namespace grpo::io
