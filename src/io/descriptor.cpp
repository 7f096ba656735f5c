#include "io/descriptor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

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

void write_all(const Descriptor& file, std::string_view bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace grpo::io
