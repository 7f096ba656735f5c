#include "grpo/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

#include "grpo/base/clock.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "io/descriptor.h"

namespace grpo::io {
namespace fs = std::filesystem;
namespace {

std::string own_text() {
  const auto began = std::chrono::system_clock::now().time_since_epoch();
  return nlohmann::ordered_json{{"host", base::host_name()},
                                {"pid", ::getpid()},
                                {"since", std::chrono::duration_cast<std::chrono::seconds>(began).count()},
                                {"lock", std::chrono::nanoseconds(began).count()}}
             .dump() +
         "\n";
}

struct Holder {
  std::string host;
  int64_t pid = 0;
  int64_t since = 0;
};

std::optional<Holder> holder_of(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  try {
    return Holder{json.at("host").get<std::string>(), json.at("pid").get<int64_t>(), json.at("since").get<int64_t>()};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

[[noreturn]] void refuse(const fs::path& path, const std::string& text) {
  const auto holder = holder_of(text);
  const std::string who = holder ? base::concat("process ", holder->pid, " on host ", holder->host, ", since ",
                                                base::local_time(holder->since, "%Y-%m-%d %H:%M:%S"))
                                 : std::string("another process that has just begun");
  throw LockedError(base::concat(path.parent_path().string(), " is in use by ", who, " (", path.string(), ")"));
}

bool is_alive_here(const std::string& text) {
  const auto holder = holder_of(text);
  return holder && holder->host == base::host_name() && holder->pid != ::getpid() &&
         (::kill(static_cast<pid_t>(holder->pid), 0) == 0 || errno == EPERM);
}

// On a file system without flock the text of the file is all that tells whether another process is at work.
void go_on_without_lock(const fs::path& path, const std::string& text, int reason) {
  if (is_alive_here(text)) refuse(path, text);
  base::log_warning(base::concat(path.string(), ": this file system has no locks (", std::strerror(reason),
                                 "), so a second process on another host would not be noticed"));
}

std::string read_some(int fd) {
  char buffer[4096];
  const ssize_t count = ::pread(fd, buffer, sizeof buffer, 0);
  return count > 0 ? std::string(buffer, static_cast<size_t>(count)) : "";
}

void write_text(int fd, const std::string& text, const fs::path& path) {
  if (::ftruncate(fd, 0) != 0 || ::lseek(fd, 0, SEEK_SET) != 0) fail(path, "cannot write");
  write_all(fd, text, path);
}

}  // namespace

// Between open and flock the holder may have removed the file. The lock is then on a file that nobody else can open, so
// the loop opens the path again.
FileLock::FileLock(const fs::path& path) : path_(path) {
  while (true) {
    fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd_ < 0) fail(path, "cannot open");
    before_ = read_some(fd_);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      const int reason = errno;
      if (reason != EWOULDBLOCK) {
        go_on_without_lock(path, *before_, reason);
        break;
      }
      ::close(fd_);
      refuse(path, *before_);
    }
    if (is_still_there()) break;
    ::close(fd_);
  }
  if (before_->empty()) before_.reset();
  text_ = own_text();
  write_text(fd_, text_, path);
}

FileLock::~FileLock() {
  const auto written_back = [&] {
    return before_ && ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, before_->data(), before_->size(), 0) >= 0;
  };
  if (is_still_there() && !written_back()) ::unlink(path_.c_str());
  if (!before_ && is_still_there())
    base::log_warning(path_.string() + " could not be removed; it locks nothing, and may be deleted");
  ::close(fd_);
}

bool FileLock::is_still_there() const {
  struct stat held {
  }, there{};
  return ::fstat(fd_, &held) == 0 && ::lstat(path_.c_str(), &there) == 0 && held.st_ino == there.st_ino &&
         held.st_dev == there.st_dev;
}

}  // namespace grpo::io
