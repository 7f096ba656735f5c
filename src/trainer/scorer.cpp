#include "trainer/scorer.h"

#include <chrono>
#include <exception>
#include <utility>

namespace grpo::trainer {
namespace {

constexpr auto kAskEvery = std::chrono::milliseconds(100);

}  // namespace

Scorer::Scorer(int num_threads) {
  for (int i = 0; i < num_threads; ++i) threads_.emplace_back([this] { work(); });
}

Scorer::~Scorer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    jobs_.clear();
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

bool Scorer::wait(const std::function<bool(bool progress)>& gives_up) {
  std::unique_lock lock(mutex_);
  for (int64_t seen = num_done_; !jobs_.empty() || running_ > 0;) {
    done_.wait_for(lock, kAskEvery, [&] { return num_done_ > seen; });
    const bool progress = std::exchange(seen, num_done_) < num_done_;
    lock.unlock();  // it may call functions of this class
    const bool ends = gives_up(progress);
    lock.lock();
    if (ends && !error_) return false;
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  return true;
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
    if (error_) jobs_.clear();
    --running_;
    ++num_done_;
    done_.notify_all();
  }
}

}  // namespace grpo::trainer
