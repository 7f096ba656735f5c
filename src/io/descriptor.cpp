#include "io/descriptor.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "grpo/base/error.h"

namespace grpo::io {

void fail(const std::filesystem::path& path, const char* what) {
  const int reason = errno;
  std::string message = base::concat(path.string(), ": ", what, ": ", std::strerror(reason));
  if (reason == ENOSPC) message += "; free some space and start again";
  throw base::IoError(message);
}

Descriptor::Descriptor(const std::filesystem::path& path, int flags, mode_t mode)
    : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {
  if (fd_ < 0) fail(path, "cannot open");
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Descriptor::Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Descriptor open_regular(const std::filesystem::path& path) {
  Descriptor file(path, O_RDONLY | O_NONBLOCK);  // without O_NONBLOCK, opening a FIFO would wait for its writer
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail(path, "cannot read");
  if (S_ISDIR(info.st_mode)) throw base::IoError(path.string() + ": is a folder, expected a file");
  if (!S_ISREG(info.st_mode))
    throw base::IoError(path.string() + ": is not a regular file (a pipe, socket or device), expected a file");
  return file;
}

void write_all(int descriptor, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) {
      pollfd room{.fd = descriptor, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);
      continue;
    }
    if (written < 0) fail(path, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

size_t Descriptor::read_some(char* buffer, size_t size, const std::filesystem::path& path) const {
  while (true) {
    const ssize_t count = ::read(fd_, buffer, size);
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR) fail(path, "cannot read");
  }
}

}  // namespace grpo::io
