#pragma once

#include <condition_variable>
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
  /// Runs the jobs that are left and ends the threads.
  ~Scorer();
  Scorer(const Scorer&) = delete;
  Scorer& operator=(const Scorer&) = delete;

  void submit(std::function<void()> job);
  /// Returns once every submitted job is done. on_done: called on this thread when jobs have become done. Rethrows the
  /// first exception of a job.
  void wait(const std::function<void()>& on_done = {});
  /// Whether a job has thrown an exception, which wait() will rethrow.
  bool failed() const;

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  std::deque<std::function<void()>> jobs_;
  int running_ = 0;
  bool stopping_ = false;
  std::exception_ptr error_;
  std::vector<std::thread> threads_;
};

}  // namespace grpo::trainer
