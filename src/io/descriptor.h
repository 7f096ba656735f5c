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
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

/// Writes all of `bytes`; `path` is for the message.
void write_all(const Descriptor& file, std::string_view bytes, const std::filesystem::path& path);

}  // namespace grpo::io
