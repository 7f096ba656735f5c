#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace grpo::app {

/// Writes lines to a descriptor from a thread of its own, so that adding a line never waits for the reader. Lines that
/// the reader has not taken yet wait in memory, at most kMostWaiting bytes. Lines beyond that, and lines that cannot be
/// written (a full disk), are lost and counted. If the reader is gone (a closed pipe), this process gets SIGTERM once.
/// REQUIRES: SIGPIPE is ignored; one thread calls all functions.
class LineWriter {
 public:
  static constexpr size_t kMostWaiting = 8 << 20;

  explicit LineWriter(int descriptor);
  /// Does not wait until all lines are written: see is_empty.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  /// `line` comes without a line break.
  void add(std::string line);
  /// Whether all lines are written or lost.
  bool is_empty() const;
  /// The time since the reader last took something, or, if that is later, since lines began to wait.
  std::chrono::steady_clock::duration stuck_for() const;
  /// The number of lines that were lost, counting those that still wait; 0 if the reader is gone.
  int64_t lost() const;

 private:
  struct Shared;
  static void write_lines(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_;  // the thread shares it, since it may be stuck in a write when this is destroyed
};

}  // namespace grpo::app
