#pragma once

#include <ATen/ThreadLocalState.h>
#include <c10/core/Event.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "grpo/update/update.h"

namespace grpo::update {

class GradientPass;

/// An update that begins before all of its sequences are known. A thread of its own (on CUDA with a stream of its own)
/// runs forward and backward of the sequences that have come; the weights change in finish() only. Micro-batches are
/// filled in the order in which places were announced, so what is computed does not depend on how soon the sequences
/// come or are trained. The scale of the loss is known only at the end; since the loss is linear in it, it multiplies
/// the finished gradient.
class StreamedUpdate {
 public:
  /// learner must outlive the update. Only the thread that made it may call its functions, except for take().
  StreamedUpdate(const Learner& learner, Watch watch);
  /// Without a call of finish() before: waits for the micro-batch that is running and drops the gradient.
  ~StreamedUpdate();
  StreamedUpdate(const StreamedUpdate&) = delete;
  StreamedUpdate& operator=(const StreamedUpdate&) = delete;

  /// Announces that sequences will come which are next in the order; returns their place.
  size_t announce();
  /// Brings the sequences of that place, perhaps none. May be called from any thread.
  void take(size_t place, std::vector<Sequence> sequences);

  /// Throws what has gone wrong in the update's thread so far; what the thread held is then dropped.
  void rethrow();
  bool failed() const;

  /// For how many seconds micro-batches have run so far.
  double busy_seconds() const;

  /// Runs the sequences that are left and takes the optimizer step. scale: what every term of the loss is multiplied
  /// by, over all ranks; no value says that no rank had a sequence, and then there is no update. A collective.
  UpdateStats finish(std::optional<double> scale);

 private:
  using Clock = std::chrono::steady_clock;

  void work();
  std::optional<std::vector<Sequence>> next_sequences();
  void run_full_micro_batches();
  void run_rest();
  std::vector<size_t> next_part() const;
  void run(const std::vector<size_t>& part);
  void wait_for_thread();

  const Learner& learner_;
  const Watch watch_;
  const at::ThreadLocalState caller_;  // profiler and gradient mode of the thread that made it
  std::optional<c10::Event> after_;    // the end of this one's stream
  std::optional<c10::Event> before_;   // what the caller's stream was given before; CUDA only
  // What only the update's thread touches.
  std::unique_ptr<GradientPass> pass_;  // made by the thread: what it allocates belongs to the thread's stream
  std::vector<Sequence> sequences_;     // in their order
  size_t begun_ = 0;                    // of them, in micro-batches that ran
  // What the two threads share, under mutex_.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<std::vector<Sequence>>> places_;  // empty until they come and after they were taken on
  size_t next_place_ = 0;
  bool closed_ = false;  // no further place will be announced
  bool cancelled_ = false;
  bool ended_ = false;
  double busy_s_ = 0.0;
  std::optional<Clock::time_point> running_since_;
  Progress progress_;
  std::exception_ptr error_;
  bool finished_ = false;
  std::thread thread_;  // last: it reads all of the above
};

}  // namespace grpo::update
