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
  std::string host;         // this rank's host
  std::string other_store;  // what holds the store if rank 0 does not
  std::optional<Drill> drill = {};
  std::chrono::milliseconds beat{1000};     // time between two signs of life of a rank
  std::chrono::milliseconds silence{6000};  // a rank without a sign of life for so long counts as dead
  std::chrono::milliseconds linger{2500};   // how long the store may outlive a failure, so that all ranks can read it
};

/// Ends this process when another rank fails, dies or hangs, whatever the other threads do.
///
/// One thread talks to the store. Once a second it writes how this rank is and reads whether a rank has failed. On rank
/// 0 it also reads how every rank is and reports those that fell silent. On other ranks it only looks at rank 0, so
/// that the store's load grows with the number of ranks and not with its square. A second thread minds the first one,
/// which a store that does not answer (its host is stopped or unreachable) would keep waiting forever.
class Watch {
 public:
  /// end_process(message, exit_code) prints the message and ends the process; it is called at most once,
  /// from any thread. There are two connections to the store: one for the talking thread, one for the
  /// callers of the functions below.
  Watch(WatchOptions options, std::unique_ptr<KeyValue> for_thread, std::unique_ptr<KeyValue> for_callers,
        std::function<void(const std::string&, int)> end_process);
  ~Watch();

  /// What must be in the store before a watch starts: first rank 0 calls prepare(), then each rank announces itself.
  static void prepare(KeyValue& store);
  static void announce(KeyValue& store, int64_t rank, const std::string& host);
  static std::string status_key(int64_t rank);

  void start();

  void enter_phase(const std::string& phase);
  /// Returns the number of the collective that starts.
  int64_t start_collective(const std::string& name);
  /// Says that until leave_collective() this rank does nothing but wait for this collective.
  void await_collective(int64_t number, const std::string& name);
  void leave_collective();

  /// See Communicator::add_shared.
  int64_t add(const std::string& name, int64_t amount);
  /// See Communicator::meet; a timeout throws what the store throws. All ranks make the same calls in the same order.
  int64_t meet(int64_t value, std::chrono::milliseconds timeout, const std::function<void()>& meanwhile);

  /// Tells the other ranks why this rank ends, and stops watching. On the rank that hosts the store it returns only
  /// when the others have read it, or after `linger`.
  void report(const std::string& message, int exit_code);
  /// Says that this rank is done, which is no failure. The rank that hosts the store waits until all
  /// ranks are done, at most `timeout`.
  void leave(std::chrono::seconds timeout);
  /// Every rank's status, at most two beats old.
  std::vector<Status> ask();

 private:
  using Clock = std::chrono::steady_clock;
  struct Seen {  // when another rank's beat last changed
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

  int64_t meetings_ = 0;  // used only by the thread that calls meet

  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;   // the talking thread is to end
  bool silent_ = false;     // the talking thread has ended
  bool reporting_ = false;  // report() was called, so the failure in the store may be our own
  bool ending_ = false;     // a thread is about to end the process
  Status own_;
  Status rank0_;               // status of rank 0 as last read
  Clock::time_point contact_;  // when the store last answered

  // By rank. Only the talking thread uses seen_ and looked_.
  std::vector<Seen> seen_;
  Clock::time_point looked_;
  std::thread talk_;
  std::thread mind_;
};

}  // namespace grpo::dist
