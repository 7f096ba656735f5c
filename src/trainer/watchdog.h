#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace grpo::trainer {

/// Ends this process with exit code 1 when it makes no progress for `limit`, because a thread that hangs would else
/// occupy a machine until a person looks. Before that it prints to stderr what the run was doing and the stack of every
/// thread.
class Watchdog {
 public:
  explicit Watchdog(std::chrono::milliseconds limit);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// Says what the run does from now on, as "step 12, rollout". Counts as progress.
  void enter(const std::string& phase);
  /// Says that there is progress. Cheap.
  void beat();

  /// While a pause lives, the clock stands still. For waits whose length depends on the disk.
  class Pause {
   public:
    explicit Pause(Watchdog& watchdog);
    ~Pause();
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    Watchdog& watchdog_;
  };

 private:
  using Clock = std::chrono::steady_clock;
  void run();
  [[noreturn]] void give_up() const;

  const std::chrono::milliseconds limit_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string phase_ = "the start";
  Clock::time_point last_ = Clock::now();
  int pauses_ = 0;
  bool stopping_ = false;
  std::thread thread_;  // the last member, because it uses the others
};

}  // namespace grpo::trainer
