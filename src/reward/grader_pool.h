#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "reward/grader.h"

namespace grpo::reward {

/// Several graders of one kind. Each has a thread of its own, which starts, uses and destroys it. Thread-safe.
class GraderPool {
 public:
  struct Options {
    int64_t workers = 1;
    int64_t retries = 2;
    double first_pause_s = 0.1;  // pause before the first retry; doubles with each retry, up to 30 s
    // Whether a call that fails after its retries is an error, after which no more calls are asked.
    bool stops = true;
  };
  /// Starts all graders. Throws base::Error, from Grader::start(), when one cannot be started.
  GraderPool(const std::function<std::unique_ptr<Grader>()>& make, const Options& options);
  ~GraderPool();
  GraderPool(const GraderPool&) = delete;
  GraderPool& operator=(const GraderPool&) = delete;

  /// Divides the calls among the graders and returns when each has its reply or its failure. When a grader fails, the
  /// calls that it has not answered are asked again one by one, so that a completion that breaks graders fails alone.
  /// With Options::stops, throws base::Error naming the call that failed first.
  void ask(std::span<Call> calls);

  /// Ends calls of ask() that are waiting, and later ones, with a base::Error.
  void cancel();

 private:
  using Job = std::packaged_task<void(Grader&)>;

  void start(const std::function<std::unique_ptr<Grader>()>& make);
  void work(std::unique_ptr<Grader> grader, std::promise<void>& started);
  void ask_one_grader(Grader& grader, std::span<Call> calls);
  void ask_again(Grader& grader, Call& call, std::string why);
  void pause(int64_t attempt);
  void end();
  std::string stopped();

  const Options options_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  bool ending_ = false;
  std::string stopped_;  // with Options::stops, or when cancelled: the failure after which no call is asked any more
  std::atomic<bool> cancelled_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace grpo::reward
