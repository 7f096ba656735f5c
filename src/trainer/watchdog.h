#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace grpo::trainer {

/// Ends this process with exit code 1 when it makes no progress: a thread that hangs would else hold a machine until a
/// person looks. Before, it prints what the run was doing and the stack of every thread to stderr.
class Watchdog {
 public:
  explicit Watchdog(std::chrono::milliseconds limit);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  /// What the run does from now on, as "step 12, rollout"; counts as progress.
  void enter(const std::string& phase);
  /// Progress. Cheap.
  void beat();

  /// While it lives the clock stands still: for waits whose length is the disk's.
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
  std::thread thread_;  // last: it uses the rest
};

}  // namespace grpo::trainer
