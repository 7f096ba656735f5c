#include "trainer/scorer.h"

#include <exception>
#include <utility>

namespace grpo::trainer {

Scorer::Scorer(int num_threads) {
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { work(); });
}

Scorer::~Scorer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Scorer::submit(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Scorer::wait(const std::function<void()>& on_done) {
  std::unique_lock lock(mutex_);
  while (!jobs_.empty() || running_ > 0) {
    done_.wait(lock);
    if (on_done) on_done();
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

bool Scorer::failed() const {
  const std::lock_guard lock(mutex_);
  return error_ != nullptr;
}

void Scorer::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    if (jobs_.empty()) return;
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    ++running_;
    lock.unlock();
    std::exception_ptr error;
    try {
      job();
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    if (error && !error_) error_ = error;
    --running_;
    done_.notify_all();
  }
}

}  // namespace grpo::trainer
