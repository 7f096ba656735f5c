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

/// A child process that is spoken to in lines. For one thread, which must outlive it and must have SIGPIPE blocked or
/// ignored.
class LineChild {
 public:
  using Clock = std::chrono::steady_clock;

  /// Throws base::Error where the program cannot be started. name: begins the lines of its stderr in the log.
  LineChild(const std::vector<std::string>& argv, const std::string& name);
  /// Closes its stdin, waits a moment for it to end, and kills what is left of its process group.
  ~LineChild();

  /// Queues bytes for its stdin; next_line() writes them.
  void send(std::string_view bytes) { pending_.append(bytes); }

  /// The next line of its stdout.
  struct Next {
    enum class Kind { kLine, kEnd, kTimeout, kTooLong };  // kEnd: it closed its stdout, or ended
    Kind kind;
    std::string line = {};
  };
  Next next_line(Clock::time_point deadline);

  /// Kills it with its process group and says how it had ended (ChildProcess::kill).
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
  size_t written_ = 0;  // of pending_
  LineBuffer lines_;
  bool ended_ = false;
};

}  // namespace grpo::reward
