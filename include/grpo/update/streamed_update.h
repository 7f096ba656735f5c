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
/// runs forward and backward of the sequences that have arrived; the weights change only in finish(). Micro-batches are
/// filled in the order in which places were announced, so the result does not depend on when sequences arrive or how
/// fast they are trained. The scale of the loss is known only at the end. The loss is linear in it, so that the
/// finished gradient can be multiplied by it.
class StreamedUpdate {
 public:
  /// learner must outlive the update. Only the thread that made the update may call its functions, except for take().
  StreamedUpdate(const Learner& learner, Watch watch);
  /// Waits for the micro-batch that is running. Unless finish() has used the gradient, drops it.
  ~StreamedUpdate();
  StreamedUpdate(const StreamedUpdate&) = delete;
  StreamedUpdate& operator=(const StreamedUpdate&) = delete;

  /// Reserves the next place in the order for sequences that will come later, and returns it.
  size_t announce();
  /// Fills a place with its sequences, of which there may be none. Whole groups come together. May be called from any
  /// thread, once for each place.
  void take(size_t place, std::vector<Sequence> sequences);

  /// Throws the exception that ended the update's thread, if one did. Then finish() is of no use any more, and the
  /// destructor drops the gradient.
  void rethrow();
  bool failed() const;

  /// The time in seconds that micro-batches have run so far.
  double busy_seconds() const;

  /// Waits until the sequences that are left have run, and takes the optimizer step. `scale` multiplies every term of
  /// the loss and is the same on all ranks; no value means that no rank had a sequence, and then there is no update.
  /// Throws what rethrow() throws. A collective. REQUIRES: every announced place has been filled.
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
  // On CUDA only: the caller's stream waits for the last work of the thread's stream (after_), and the thread's stream
  // waits for what the caller's was given before this update was made (before_).
  std::optional<c10::Event> after_;
  std::optional<c10::Event> before_;
  // Touched only by the update's thread until it has ended:
  std::unique_ptr<GradientPass> pass_;  // made in the thread, so that its memory belongs to the thread's stream
  std::vector<Sequence> sequences_;     // all that have arrived, in the order of places
  std::vector<size_t> place_ends_;      // how many there were after each place
  size_t begun_ = 0;                    // how many of them were in micro-batches that have run
  // Shared by both threads, under mutex_:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // A place is empty before take() has filled it, and again after the thread has fetched its sequences.
  std::vector<std::optional<std::vector<Sequence>>> places_;
  size_t next_place_ = 0;
  bool closed_ = false;  // no further place will be announced
  bool cancelled_ = false;
  bool ended_ = false;
  double busy_s_ = 0.0;
  std::optional<Clock::time_point> running_since_;
  Progress progress_;
  std::exception_ptr error_;
  bool finished_ = false;
  std::thread thread_;  // the last member, because the thread reads all of the above
};

}  // namespace grpo::update
