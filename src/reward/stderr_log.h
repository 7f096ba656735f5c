#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "reward/line_buffer.h"

namespace grpo::reward {

/// Writes a program's stderr into the run's log, line by line, and remembers the last lines for error messages. Lines
/// are cut at 2,000 bytes and at most 1,000 lines per minute are written, so that no program fills the disk.
class StderrLog {
 public:
  /// `name` begins every line in the log.
  explicit StderrLog(std::string name) : name_(std::move(name)) {}
  void append(std::string_view bytes);
  /// "; the last lines of its stderr:" followed by each of these lines on a line of its own; "" if there were none.
  std::string last_lines();

 private:
  using Clock = std::chrono::steady_clock;
  void take(std::string line);
  bool may_write();

  std::string name_;
  LineBuffer buffer_;
  std::deque<std::string> last_;
  Clock::time_point minute_ = Clock::now();
  int64_t written_ = 0;  // lines written since minute_ began
  int64_t omitted_ = 0;
};

}  // namespace grpo::reward
