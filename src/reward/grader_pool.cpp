#include "reward/grader_pool.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <utility>

#include "grpo/base/error.h"

namespace grpo::reward {
namespace {

// Signals are handled by the program's other threads. With SIGPIPE blocked, writing to a grader that has ended gives an
// error instead of ending the program.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

GraderPool::GraderPool(const std::function<std::unique_ptr<Grader>()>& make, const Options& options)
    : options_(options) {
  try {
    start(make);
  } catch (...) {
    end();
    throw;
  }
}

// Starts all graders before it waits for the first, so that they get ready at the same time.
void GraderPool::start(const std::function<std::unique_ptr<Grader>()>& make) {
  std::vector<std::future<void>> started;
  for (int64_t i = 0; i < options_.workers; ++i) {
    std::promise<void> promise;
    started.push_back(promise.get_future());
    threads_.emplace_back(
        [this, grader = make(), promise = std::move(promise)]() mutable { work(std::move(grader), promise); });
  }
  for (auto& one : started) one.get();
}

GraderPool::~GraderPool() { end(); }

void GraderPool::end() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void GraderPool::work(std::unique_ptr<Grader> grader, std::promise<void>& started) {
  block_signals();
  grader->give_up_when(cancelled_);
  try {
    grader->start();
    started.set_value();
  } catch (...) {
    started.set_exception(std::current_exception());
  }
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ending_ || !jobs_.empty(); });
    if (jobs_.empty()) break;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job(*grader);
    lock.lock();
  }
}

void GraderPool::ask(std::span<Call> calls) {
  const size_t parts = std::min(calls.size(), threads_.size());
  std::vector<std::future<void>> done;
  for (size_t k = 0; k < parts; ++k) {
    const size_t first = k * calls.size() / parts, last = (k + 1) * calls.size() / parts;
    Job job([this, part = calls.subspan(first, last - first)](Grader& grader) { ask_one_grader(grader, part); });
    done.push_back(job.get_future());
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_all();
  for (auto& part : done) part.wait();
  for (auto& part : done) part.get();
  if (const auto failure = stopped(); !failure.empty()) throw base::Error(failure);
}

void GraderPool::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  if (stopped_.empty()) stopped_ = "the run ends, and answers of graders are not wanted any more";
  wake_.notify_all();
}

void GraderPool::ask_one_grader(Grader& grader, std::span<Call> calls) {
  if (!stopped().empty()) return;
  const std::string why = grader.ask(calls);
  for (Call& call : calls) {
    if (!call.reply) ask_again(grader, call, why);
  }
}

void GraderPool::ask_again(Grader& grader, Call& call, std::string why) {
  for (int64_t attempt = 1; attempt <= options_.retries && !call.reply; ++attempt) {
    pause(attempt);
    if (!stopped().empty()) return;
    why = grader.ask({&call, 1});
  }
  if (call.reply) return;
  call.failure = base::concat(why, " (asked ", options_.retries + 1, options_.retries == 0 ? " time)" : " times)");
  if (!options_.stops) return;
  const std::lock_guard lock(mutex_);
  if (stopped_.empty()) stopped_ = call.name + ": " + call.failure;
  wake_.notify_all();
}

void GraderPool::pause(int64_t attempt) {
  const double seconds = std::min(options_.first_pause_s * std::exp2(static_cast<double>(attempt - 1)), 30.0);
  std::unique_lock lock(mutex_);
  wake_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return !stopped_.empty(); });
}

std::string GraderPool::stopped() {
  const std::lock_guard lock(mutex_);
  return stopped_;
}

}  // namespace grpo::reward
