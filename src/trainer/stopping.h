#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <vector>

#include "grpo/dist/communicator.h"

namespace grpo::trainer {

/// How long steps and checkpoints have taken in this run.
struct Pace {
  std::optional<double> step_s;  // rollout, reward and update of the last whole step; none: no step is done yet
  double save_s = 0.0;           // writing the last checkpoint, or an assumption before the first one
};

/// Whether a step that has already run for elapsed_s can be finished, and a checkpoint be written, within the next
/// left_s seconds. False while no step has shown how long one takes.
bool can_finish(const Pace& pace, double elapsed_s, double left_s);

/// Counts a signal that asks this process to stop, and returns how many there were. A signal within a second of one
/// that counted does not count, because a launcher and a scheduler may both pass the same one on. Safe to call from a
/// signal handler.
int64_t note_signal();
void forget_signals();
/// Whether a signal has been counted.
bool has_signal();

/// Decides, after a signal, whether the step under way is finished or dropped. It is finished if, at this run's pace,
/// the step and the checkpoint will end within checkpoint.stop_within_s of the signal. It is dropped as soon as that is
/// no longer so, or at the second signal. When one rank drops it all do; the others look for such a decision once a
/// second.
class Stopping {
 public:
  Stopping(dist::Communicator& communicator, double within_s);

  bool asked() const;  // whether a signal has reached this rank

  /// Watches a descriptor to which this process writes what others read. If it is a pipe whose reader is gone (`|
  /// head`, a tee that was killed), that counts as a signal. look_for_readers() looks at it, once a second at most; it
  /// is called between decode steps and micro-batches.
  void watch_reader(int descriptor) { readers_.push_back(descriptor); }
  void look_for_readers();

  void begin_step(int64_t step);
  void end_step();                                       // the step is finished, and its time is the new pace
  void note_save(double seconds) { save_s_ = seconds; }  // from any thread

  /// Whether to give up the step now. It is cheap, because it is asked between decode steps and between micro-batches.
  bool drops_step();
  /// The same for an evaluation, which is given up as soon as a signal comes, because a restart can do it again.
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
