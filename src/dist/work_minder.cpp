#include "dist/work_minder.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace grpo::dist {

WorkMinder::WorkMinder(std::chrono::milliseconds timeout,
                       std::function<void(const Started&, const std::string&)> give_up)
    : timeout_(timeout), give_up_(std::move(give_up)), thread_([this] { run(); }) {}

WorkMinder::~WorkMinder() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void WorkMinder::mind(Started started) {
  const std::lock_guard lock(mutex_);
  under_way_.emplace_back(std::move(started), nullptr);
}

void WorkMinder::started_as(c10::intrusive_ptr<c10d::Work> work) {
  const std::lock_guard lock(mutex_);
  under_way_.back().second = std::move(work);
}

void WorkMinder::forget() {
  const std::lock_guard lock(mutex_);
  under_way_.pop_back();
}

void WorkMinder::run() {
  const auto pause = std::min(timeout_ / 4, std::chrono::milliseconds(200));
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, pause, [this] { return stopping_; })) {
    std::string problem;
    try {
      while (!under_way_.empty() && under_way_.front().second && under_way_.front().second->isCompleted()) {
        if (const auto error = under_way_.front().second->exception()) std::rethrow_exception(error);
        under_way_.pop_front();
      }
    } catch (const std::exception& error) {
      problem = error.what();
      problem = problem.substr(0, problem.find('\n'));
      if (problem.empty()) problem = "failed";
    }
    if (under_way_.empty()) continue;
    const Started first = under_way_.front().first;
    if (problem.empty() && std::chrono::steady_clock::now() - first.began < timeout_) continue;
    lock.unlock();
    give_up_(first, problem);
    return;
  }
}

}  // namespace grpo::dist
