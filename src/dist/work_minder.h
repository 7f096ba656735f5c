#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <torch/csrc/distributed/c10d/Work.hpp>
#include <utility>

namespace grpo::dist {

/// A collective that has started.
struct Started {
  std::string name;
  int64_t number = 0;
  std::chrono::steady_clock::time_point began;
};

/// Watches collectives on a GPU, for which only a stream and no thread of this process waits. A thread of its own
/// reports a collective that has failed or is not done in time. One thread starts collectives.
class WorkMinder {
 public:
  /// give_up(started, what) is called once, from that thread; `what` is empty for a timeout.
  WorkMinder(std::chrono::milliseconds timeout, std::function<void(const Started&, const std::string& what)> give_up);
  ~WorkMinder();

  /// Watches a collective from before the call that starts it, since that call waits for all ranks too: in a group's
  /// first collective NCCL connects them. Then either started_as() says what it became, or forget() that there is
  /// nothing to wait for.
  void mind(Started started);
  void started_as(c10::intrusive_ptr<c10d::Work> work);
  void forget();

 private:
  void run();

  const std::chrono::milliseconds timeout_;
  std::function<void(const Started&, const std::string&)> give_up_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  // In the order in which they were started. The work is null while the call that starts the last one has not returned.
  std::deque<std::pair<Started, c10::intrusive_ptr<c10d::Work>>> under_way_;
  std::thread thread_;
};

}  // namespace grpo::dist
