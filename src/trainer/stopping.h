#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "grpo/dist/communicator.h"

namespace grpo::trainer {

/// The times that this run has measured of itself.
struct Pace {
  std::optional<double> step_s;  // rollout, reward and update of the last whole step; none: no step is done yet
  double save_s = 0.0;           // writing a checkpoint
};

/// Whether a step that has already run for elapsed_s can be finished, and a checkpoint be written, in the next left_s
/// seconds. False before a first step has shown how long one takes.
bool can_finish(const Pace& pace, double elapsed_s, double left_s);

/// Signals that ask this process to stop. Those within a second count as one: a launcher and a scheduler may both pass
/// the same one on. Safe to call from a signal handler. Returns how many there were.
int64_t note_signal();
void forget_signals();

/// Decides, after a signal, whether the step under way is finished or dropped. It is finished if this run's pace says
/// that the step and the checkpoint will end within checkpoint.stop_within_s of the signal. It is dropped as soon as
/// the pace no longer says so, or at the second signal. The decision of one rank counts for all; they learn of it
/// within a second.
class Stopping {
 public:
  Stopping(dist::Communicator& communicator, double within_s);

  bool asked() const;  // a signal reached this rank

  /// Watches a pipe to which this process writes what people or programs read. When its reader is gone (`| head`, a tee
  /// that was killed), that counts as a signal. The pipe is looked at about once a second, between decode steps and
  /// micro-batches.
  void watch_reader(int descriptor) { readers_.push_back(descriptor); }
  void look_for_readers();

  void begin_step(int64_t step);
  void end_step();                                       // the step was finished: its pace is known
  void note_save(double seconds) { save_s_ = seconds; }  // from any thread

  /// Whether to give up the step now. The answer is cheap: it is asked for between decode steps and between
  /// micro-batches.
  bool drops_step();
  /// The same for an evaluation. It is given up as soon as a signal comes, because it can be sampled again after a
  /// restart.
  bool drops_evaluation();

 private:
  bool drop();
  bool others_drop();

  dist::Communicator& communicator_;
  const double within_s_;
  int64_t step_ = 0;
  double step_began_ = 0.0;
  std::optional<double> step_s_;
  std::atomic<double> save_s_;
  double asked_others_ = 0.0;
  bool dropped_ = false;
  bool announced_ = false;
  std::vector<int> readers_;
  double looked_for_readers_ = 0.0;
};

}  // namespace grpo::trainer
