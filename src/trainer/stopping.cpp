#include "trainer/stopping.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/metrics/console.h"

namespace grpo::trainer {
namespace {

constexpr double kOneSignal_s = 1.0;
constexpr double kAskOthersEvery_s = 1.0;
constexpr double kLookForReadersEvery_s = 1.0;
constexpr double kMargin = 1.1;     // factor on the last step's time, because steps differ in length
constexpr double kSaveShare = 0.1;  // share of stop_within_s kept for a checkpoint before one has been timed
constexpr const char* kDropped = "dropped";

std::atomic<int64_t> signals = 0;
std::atomic<double> first_signal = 0.0;
std::atomic<double> last_signal = 0.0;

double now_s() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);  // this call is allowed in signal handlers
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Whether this descriptor is a pipe whose reader is gone. Files and terminals never count as such.
bool is_gone(int descriptor) {
  pollfd state{.fd = descriptor, .events = 0, .revents = 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0;
}

}  // namespace

int64_t note_signal() {
  const double now = now_s();
  if (signals == 0) first_signal = now;
  if (signals == 0 || now - last_signal > kOneSignal_s) {
    last_signal = now;
    ++signals;
  }
  return signals;
}

void forget_signals() { signals = 0; }

bool has_signal() { return signals > 0; }

bool can_finish(const Pace& pace, double elapsed_s, double left_s) {
  if (!pace.step_s) return false;
  return std::max(kMargin * *pace.step_s - elapsed_s, 0.0) + pace.save_s <= left_s;
}

Stopping::Stopping(dist::Communicator& communicator, double within_s)
    : communicator_(communicator), within_s_(within_s), save_s_(kSaveShare * within_s) {}

bool Stopping::asked() const { return has_signal(); }

void Stopping::begin_step(int64_t step) {
  step_ = step;
  step_began_ = now_s();
}

void Stopping::end_step() { step_s_ = now_s() - step_began_; }

void Stopping::look_for_readers() {
  const double now = now_s();
  if (readers_.empty() || now - looked_for_readers_ < kLookForReadersEvery_s) return;
  looked_for_readers_ = now;
  if (std::none_of(readers_.begin(), readers_.end(), is_gone)) return;
  readers_.clear();
  note_signal();
}

bool Stopping::drops_step() {
  look_for_readers();
  if (dropped_ || others_drop()) return true;
  if (!asked()) return false;
  const double now = now_s();
  const double left = first_signal + within_s_ - now;
  const bool finishes = signals < 2 && can_finish({.step_s = step_s_, .save_s = save_s_}, now - step_began_, left);
  if (!finishes) return drop();
  if (!std::exchange(announced_, true)) {
    base::log_info(base::concat("a signal asks to stop: step ", step_, " is finished first, which took ",
                                metrics::duration(*step_s_), " last time, of ", metrics::duration(left),
                                " (checkpoint.stop_within_s); a second signal drops it"));
  }
  return false;
}

bool Stopping::drops_evaluation() {
  look_for_readers();
  if (dropped_ || others_drop()) return true;
  return asked() ? drop() : false;
}

bool Stopping::drop() {
  communicator_.add_shared(kDropped, 1);
  dropped_ = true;
  return true;
}

bool Stopping::others_drop() {
  const double now = now_s();
  if (communicator_.size() == 1 || now - asked_others_ < kAskOthersEvery_s) return false;
  asked_others_ = now;
  dropped_ = communicator_.add_shared(kDropped, 0) > 0;
  return dropped_;
}

}  // namespace grpo::trainer
