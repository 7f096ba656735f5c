#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace grpo::app {

/// Writes lines to a descriptor from a thread of its own, so that whoever adds one never waits for the reader. What the
/// reader has not taken yet waits in memory, at most kMostWaiting bytes; lines beyond that, and those that cannot be
/// written (a full disk), are lost and counted. A reader that is gone (a closed pipe) sends this process SIGTERM once.
/// Requires that SIGPIPE is ignored. All functions are for one thread.
class LineWriter {
 public:
  static constexpr size_t kMostWaiting = 8 << 20;

  explicit LineWriter(int descriptor);
  /// Does not wait for the reader: see is_empty.
  ~LineWriter();
  LineWriter(const LineWriter&) = delete;
  LineWriter& operator=(const LineWriter&) = delete;

  /// `line` without its end.
  void add(std::string line);
  /// Whether nothing is left to write.
  bool is_empty() const;
  /// Since the reader last took something, or since there is something to take.
  std::chrono::steady_clock::duration stuck_for() const;
  /// Lines that did not reach the reader, or will not when those that still wait are given up; 0 when it is gone.
  int64_t lost() const;

 private:
  struct Shared;
  static void write_lines(const std::shared_ptr<Shared>& shared);
  std::shared_ptr<Shared> shared_;  // outlives this when the thread is stuck in a write
};

}  // namespace grpo::app
