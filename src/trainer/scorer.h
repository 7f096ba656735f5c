#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace grpo::trainer {

/// Runs scoring jobs on CPU threads while the sampler goes on. Each job must write to a place of its own, so that
/// results do not depend on the number of threads.
class Scorer {
 public:
  explicit Scorer(int num_threads);
  /// Drops the jobs that have not begun, waits for those that run, and ends the threads.
  ~Scorer();
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;

  void submit(std::function<void()> job);
  /// Waits until every submitted job is done; returns false if `gives_up` has ended the wait before that. It is called
  /// on this thread, ten times a second at least, and is told whether jobs have become done since its last call.
  /// Rethrows the first exception of a job; the jobs that had not begun when it was thrown are dropped.
  bool wait(const std::function<bool(bool progress)>& gives_up);
  /// Whether a job has thrown an exception, which wait() will rethrow.
  bool failed() const;

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::deque<std::function<void()>> jobs_;
  int running_ = 0;
  int64_t num_done_ = 0;
  bool stopping_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace grpo::trainer
