#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "dist/drill.h"
#include "dist/key_value.h"
#include "dist/status.h"

namespace grpo::dist {

struct WatchOptions {
  int64_t rank = 0;
  int64_t size = 1;
  bool hosts_store = false;
  std::string host;         // this rank's
  std::string other_store;  // what holds the store when it is not rank 0
  std::optional<Drill> drill = {};
  std::chrono::milliseconds beat{1000};     // time between two signs of life
  std::chrono::milliseconds silence{6000};  // without one, a rank counts as dead
  std::chrono::milliseconds linger{2500};   // longest time that the store outlives a failure, so that all can read it
};

/// Ends this process when another rank fails, dies or hangs, whatever the other threads do.
///
/// One thread talks to the store: once a second it says how this rank is and reads whether a rank has failed. Rank 0
/// also reads how every rank is and reports those that fell silent; the others look at rank 0 only, so the store's load
/// grows with the number of ranks, not with its square. A second thread minds the first one: a store that does not
/// answer (its host is stopped or unreachable) keeps the first waiting without an end.
class Watch {
 public:
  /// end_process(message, exit_code) prints and ends; it may be called from any thread, once. Two connections: one for
  /// the thread, one for the callers of report, leave and ask.
  Watch(WatchOptions options, std::unique_ptr<KeyValue> for_thread, std::unique_ptr<KeyValue> for_callers,
        std::function<void(const std::string&, int)> end_process);
  ~Watch();

  /// Puts into the store what must be there before a watch starts: rank 0 prepares it first, then each rank announces
  /// itself.
  static void prepare(KeyValue& store);
  static void announce(KeyValue& store, int64_t rank, const std::string& host);
  static std::string status_key(int64_t rank);

  void start();

  void enter_phase(const std::string& phase);
  /// Returns the collective's number.
  int64_t start_collective(const std::string& name);
  /// Says that from now until leave_collective() this rank does nothing but wait for the collective that it started.
  void await_collective(int64_t number, const std::string& name);
  void leave_collective();

  /// As Communicator::add_shared.
  int64_t add(const std::string& name, int64_t amount);
  /// As Communicator::meet, but a timeout throws what the store throws. Ranks make the same calls in the same order.
  int64_t meet(int64_t value, std::chrono::milliseconds timeout, const std::function<void()>& meanwhile);

  /// Tells the others why this rank ends, and stops watching. On the host of the store it returns only after they have
  /// read it.
  void report(const std::string& message, int exit_code);
  /// Says that this rank is done, which is no failure. The host of the store waits, at most `timeout`, until all ranks
  /// are.
  void leave(std::chrono::seconds timeout);
  /// Every rank's status, not older than two beats.
  std::vector<Status> ask();

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {  // of another rank
    uint64_t beat = 0;
    Clock::time_point when;
  };
  void wait_for(const std::string& key, std::chrono::milliseconds timeout, const std::function<void()>& meanwhile);
  void talk();
  void say_and_read();
  void obey(const std::string& failure);
  void look_at_noted_death();
  void look_at(int64_t rank, const Status& status, Clock::time_point now);
  void mind();
  void stop();
  void end(const Failure& failure, KeyValue* store);
  void say_ended(KeyValue& store);
  bool all_ended_but(KeyValue& store, int64_t exempt);
  void outlive(KeyValue& store, int64_t exempt, std::chrono::milliseconds longest);
  std::vector<Status> read_all(KeyValue& store) const;
  Failure store_lost();

  const WatchOptions options_;
  std::unique_ptr<KeyValue> store_;
  std::unique_ptr<KeyValue> callers_store_;
  std::function<void(const std::string&, int)> end_process_;

  int64_t meetings_ = 0;  // of the thread that calls meet

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;   // the talking thread shall end
  bool silent_ = false;     // it has ended
  bool reporting_ = false;  // the failure in the store may be our own
  bool ending_ = false;     // a thread is about to end the process
  Status own_;
  Status rank0_;               // as last read
  Clock::time_point contact_;  // when the store last answered

  std::vector<Seen> seen_;  // by rank; of the talking thread, as is the next
  Clock::time_point looked_;
  std::thread talk_;
  std::thread mind_;
};

}  // namespace grpo::dist
