#include "io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <string>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/write_record.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {

// The process id keeps processes apart and the counter threads, should several write the same path at once.
fs::path temporary_beside(const fs::path& path) {
  static std::atomic<int> count = 0;
  return path.string() + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
}

// The new version takes the name of the old one. Of a device, a pipe or a link into /proc (/dev/null, /dev/stdout) that
// name would be lost to everybody who uses it. (A folder cannot be replaced anyway.)
void check_replaceable(const fs::path& path) {
  std::error_code unknown;
  const auto status = fs::status(path, unknown);
  const bool in_proc = fs::read_symlink(path, unknown).string().starts_with("/proc/");
  if (in_proc || (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status)))
    throw base::IoError(path.string() + ": is no regular file, which could be replaced by a new version");
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : path_(path), temporary_(temporary_beside(path)) {
  check_replaceable(path);
  file_.emplace(temporary_, O_WRONLY | O_CREAT | O_TRUNC);
}

AtomicFile::~AtomicFile() {
  if (file_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) {
  hasher_.add(bytes);
  write_all(file_->get(), bytes, path_);
}

void AtomicFile::commit() {
  if (::fsync(file_->get()) != 0) fail(path_, "cannot sync");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(path_, "cannot replace");
  file_.reset();
  sync_path(path_.has_parent_path() ? path_.parent_path() : fs::path("."));
  WriteRecord::note(path_, {.bytes = hasher_.bytes(), .xxh3_128 = hasher_.digest()});
}

}  // namespace grpo::io
