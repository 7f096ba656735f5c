#pragma once

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

/// Several graders of one kind, each on a thread of its own that makes and ends it. Thread-safe.
class GraderPool {
 public:
  struct Options {
    int64_t workers = 1;
    int64_t retries = 2;
    double first_pause_s = 0.1;  // before the first further attempt; it doubles with each, up to half a minute
    bool stops = true;           // whether a call that fails for good is an error, and no further ones are asked
  };
  /// Starts them. Throws base::Error, from Grader::start(), when one cannot be.
  GraderPool(const std::function<std::unique_ptr<Grader>()>& make, const Options& options);
  ~GraderPool();
  GraderPool(const GraderPool&) = delete;
  GraderPool& operator=(const GraderPool&) = delete;

  /// Asks about all of the calls, which the graders share, until each has its reply or its failure. Where a grader
  /// fails, what it still owes is asked again one by one, so that a completion that breaks graders fails alone. Throws
  /// base::Error naming the call that failed first, where Options::stops says so.
  void ask(std::span<Call> calls);

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
  std::string stopped_;  // the failure after which nothing is asked any more
  std::vector<std::thread> threads_;
};

}  // namespace grpo::reward
