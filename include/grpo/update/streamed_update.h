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

/// An update that begins before all of its sequences are known. A thread of its own, on CUDA with a stream of its own,
/// runs forward and backward of those that have come; weights change in finish() only. Micro-batches are filled in the
/// order in which places were announced, so they do not depend on how soon anybody brings the sequences or trains them.
/// What is known at the end alone, the loss's scale, multiplies the gradient then: the loss is linear in it.
class StreamedUpdate {
 public:
  /// learner outlives it. The calling thread alone calls all but take().
  StreamedUpdate(const Learner& learner, Watch watch);
  /// Without finish(): waits for the micro-batch that runs and drops the gradient.
  ~StreamedUpdate();
  StreamedUpdate(const StreamedUpdate&) = delete;
  StreamedUpdate& operator=(const StreamedUpdate&) = delete;

  /// Sequences will come that are next in the order: their place.
  size_t announce();
  /// The sequences of that place, perhaps none; from any thread.
  void take(size_t place, std::vector<Sequence> sequences);

  /// Throws what went wrong in the thread so far; what it holds is then dropped.
  void rethrow();
  bool failed() const;

  /// Seconds that micro-batches have run so far.
  double busy_seconds() const;

  /// Runs the rest and takes the optimizer step. scale: of every term of the loss, over all ranks; none: no rank had a
  /// sequence, and there is no update. A collective.
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
  const at::ThreadLocalState caller_;  // profiler and gradient mode
  std::optional<c10::Event> after_;    // the end of this one's stream
  std::optional<c10::Event> before_;   // what the caller's stream was given before; CUDA only
  // The thread's own.
  std::unique_ptr<GradientPass> pass_;  // made by the thread: what it allocates belongs to the thread's stream
  std::vector<Sequence> sequences_;     // in their order
  size_t begun_ = 0;                    // of them, in micro-batches that ran
  // Between the threads.
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
