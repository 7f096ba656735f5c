#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace grpo::reward {

/// A file descriptor that closes itself.
class Handle {
 public:
  explicit Handle(int fd = -1) : fd_(fd) {}
  ~Handle() { close(); }
  Handle(Handle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void close();

 private:
  int fd_;
};

/// A child process with pipes to its standard streams. It leads a process group of its own and inherits no other
/// descriptors. The kernel kills it when the thread that made it ends, so that thread must outlive it.
class ChildProcess {
 public:
  /// Runs argv[0] without a shell; a name without a slash is looked up in PATH. Our ends of the pipes never block.
  /// Throws base::Error saying why the program cannot be started.
  explicit ChildProcess(const std::vector<std::string>& argv);
  /// Kills the whole process group.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  Handle& in() { return in_; }  // the pipe to its stdin
  Handle& out() { return out_; }
  Handle& err() { return err_; }

  /// Whether it ends by itself within `seconds`. Other processes of its group may still run.
  bool ends_within(double seconds) const;
  /// Kills what is left of the process group and says how the process ended: "ended with exit code 1", "was ended by
  /// signal 11 (Segmentation fault)" or "still ran".
  std::string kill();

 private:
  pid_t pid_ = -1;
  Handle in_, out_, err_;
};

}  // namespace grpo::reward
