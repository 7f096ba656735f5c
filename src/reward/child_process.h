#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

namespace grpo::reward {

/// A descriptor that closes itself.
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

/// A child process with pipes to its standard streams. It leads a process group of its own, inherits no other
/// descriptor, and is killed when the thread that made it ends: the thread must outlive it.
class ChildProcess {
 public:
  /// Runs argv[0], which is looked up in PATH when it has no slash, without a shell. Our ends of the pipes never block.
  /// Throws base::Error saying why it cannot be started.
  explicit ChildProcess(const std::vector<std::string>& argv);
  /// Kills the whole group.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  Handle& in() { return in_; }  // its stdin
  Handle& out() { return out_; }
  Handle& err() { return err_; }

  /// Whether it has ended of its own accord within that time. Others of its group may still run.
  bool ends_within(double seconds) const;
  /// Kills what is left of the group and says how the process ended: "ended with exit code 1", "was ended by signal 11
  /// (Segmentation fault)", "still ran".
  std::string kill();

 private:
  pid_t pid_ = -1;
  Handle in_, out_, err_;
};

}  // namespace grpo::reward
