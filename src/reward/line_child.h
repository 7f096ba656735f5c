#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "reward/child_process.h"
#include "reward/line_buffer.h"
#include "reward/stderr_log.h"

namespace grpo::reward {

/// A child process that reads and writes lines. It is used by one thread, which must outlive it and must
/// have SIGPIPE blocked or ignored.
class LineChild {
 public:
  using Clock = std::chrono::steady_clock;

  /// Throws base::Error when the program cannot be started. `name` begins the log lines that show its stderr.
  LineChild(const std::vector<std::string>& argv, const std::string& name);
  /// Closes the child's stdin, waits a moment for it to end, and kills what is left of its process group.
  ~LineChild();

  /// Queues bytes for the child's stdin; next_line() writes them.
  void send(std::string_view bytes) { pending_.append(bytes); }

  /// What next_line() finds on the child's stdout.
  struct Next {
    enum class Kind { kLine, kEnd, kTimeout, kTooLong };  // kEnd: the child closed its stdout or ended
    Kind kind;
    std::string line = {};
  };
  Next next_line(Clock::time_point deadline);

  /// Kills the child with its process group and says how it had ended (ChildProcess::kill).
  std::string kill();
  std::string last_stderr_lines() { return log_.last_lines(); }
  bool ends_within(double seconds) const { return process_.ends_within(seconds); }

 private:
  void transfer(Clock::time_point deadline);
  void write_pending();
  bool read_lines();
  void read_stderr();

  ChildProcess process_;
  StderrLog log_;
  std::string pending_;
  size_t written_ = 0;  // how much of pending_ is written
  LineBuffer lines_;
  bool ended_ = false;
};

}  // namespace grpo::reward
