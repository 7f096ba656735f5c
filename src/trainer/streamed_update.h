#pragma once

#include <ATen/ThreadLocalState.h>
#include <c10/core/Event.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "grpo/trainer/grpo_step.h"
#include "trainer/gradient_pass.h"

namespace grpo::trainer {

/// A step's one update, begun while its rollout still decodes (`trainer.stream_update`). A thread of its own, on CUDA with a stream of
/// its own, runs forward and backward of live rollouts; weights change in finish() only. Micro-batches are filled in the order in which
/// the engine completes groups, so they depend on the tokens and not on how fast anybody scores or trains. What is known at the end
/// alone, the loss's denominator, scales the gradient then: the loss is linear in it.
class StreamedUpdate {
 public:
  /// context and prompts (of the whole step) outlive it. The calling thread alone calls all but take().
  StreamedUpdate(StepContext& context, const std::vector<Prompt>& prompts);
  /// Without finish(): waits for the micro-batch that runs and drops the gradient.
  ~StreamedUpdate();
  StreamedUpdate(const StreamedUpdate&) = delete;
  StreamedUpdate& operator=(const StreamedUpdate&) = delete;

  /// A group is complete: its place in the order.
  size_t announce();
  /// The group of that place once it is scored; from any thread.
  void take(size_t place, std::vector<Rollout> scored);

  /// Throws what went wrong in the thread so far; what it holds is then dropped.
  void rethrow();
  bool failed() const;

  /// Seconds that micro-batches have run so far.
  double busy_seconds() const;

  /// Runs the rest and takes the optimizer step. batch: the whole step's, over all ranks. A collective.
  UpdateStats finish(const RolloutBatch& batch);

 private:
  using Clock = std::chrono::steady_clock;

  void work();
  std::optional<std::vector<Rollout>> next_group();
  void append(std::vector<Rollout> group);
  void run_full_micro_batches();
  void run_rest();
  std::vector<size_t> next_part() const;
  void run(const std::vector<size_t>& part);
  void wait_for_thread();

  StepContext& context_;
  const at::ThreadLocalState caller_;    // profiler and gradient mode
  std::optional<c10::Event> after_;      // the end of this one's stream
  std::optional<c10::Event> before_;     // what the caller's stream was given before; CUDA only
  // The thread's own.
  std::optional<GradientPass> pass_;  // made by the thread: what it allocates belongs to the thread's stream
  RolloutBatch streamed_;  // live rollouts in their order
  size_t begun_ = 0;       // of them, in micro-batches that ran
  // Between the threads.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<std::vector<Rollout>>> groups_;  // by place; empty until scored and after it was taken on
  size_t next_place_ = 0;
  bool closed_ = false;     // no further group will be announced
  bool cancelled_ = false;
  bool ended_ = false;
  double busy_s_ = 0.0;
  std::optional<Clock::time_point> running_since_;
  StepProgress progress_{.phase = StepProgress::Phase::kUpdate};
  std::exception_ptr error_;
  bool finished_ = false;
  std::thread thread_;  // last: it reads all of the above
};

}  // namespace grpo::trainer
