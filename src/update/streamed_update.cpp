#include "grpo/update/streamed_update.h"

#include <ATen/TensorOperators.h>
#include <ATen/ThreadLocalState.h>

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "grpo/update/sequence.h"
#include "update/families.h"
#include "update/gradient_pass.h"
#include "update/micro_batch.h"
#include "update/side_stream.h"
#include "update/update_gate.h"

namespace grpo::update {

StreamedUpdate::StreamedUpdate(const Learner& learner, Watch watch)
    : learner_(learner), watch_(std::move(watch)), before_(record_event(learner.model.device())) {
  thread_ = std::thread([this] { work(); });
}

StreamedUpdate::~StreamedUpdate() {
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (!finished_ && pass_) pass_->drop();
}

size_t StreamedUpdate::announce() {
  const std::lock_guard lock(mutex_);
  places_.emplace_back();
  return places_.size() - 1;
}

void StreamedUpdate::take(size_t place, std::vector<Sequence> sequences) {
  {
    const std::lock_guard lock(mutex_);
    places_.at(place) = std::move(sequences);
  }
  changed_.notify_all();
}

bool StreamedUpdate::failed() const {
  const std::lock_guard lock(mutex_);
  return error_ != nullptr;
}

void StreamedUpdate::rethrow() {
  const std::lock_guard lock(mutex_);
  if (error_) std::rethrow_exception(error_);
}

double StreamedUpdate::busy_seconds() const {
  const std::lock_guard lock(mutex_);
  return busy_s_ + (running_since_ ? std::chrono::duration<double>(Clock::now() - *running_since_).count() : 0.0);
}

// ---- the thread

void StreamedUpdate::work() {
  std::exception_ptr error;
  try {
    const at::ThreadLocalStateGuard like_the_caller(caller_);
    const auto device = learner_.model.device();
    const auto guard = side_stream(device);
    if (before_) before_->block(current_stream(device));
    pass_ = std::make_unique<GradientPass>(learner_, watch_, /*scale=*/1.0);
    while (auto next = next_sequences()) {
      std::move(next->begin(), next->end(), std::back_inserter(sequences_));
      place_ends_.push_back(sequences_.size());
      run_full_micro_batches();
    }
    run_rest();
    after_ = record_event(device);
  } catch (...) {
    error = std::current_exception();
  }
  {
    const std::lock_guard lock(mutex_);
    error_ = error;
    ended_ = true;
  }
  changed_.notify_all();
}

// Waits for the sequences of the next place, in the order in which places were announced. Returns nullopt when no more
// will come, or when the update is cancelled.
std::optional<std::vector<Sequence>> StreamedUpdate::next_sequences() {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return next_place_ < places_.size() && places_[next_place_].has_value(); };
  changed_.wait(lock, [&] { return cancelled_ || ready() || (closed_ && next_place_ == places_.size()); });
  if (cancelled_ || !ready()) return std::nullopt;
  return std::exchange(places_[next_place_++], std::nullopt);
}

// The next families that fit into one micro-batch together. A group that is too long for one is taken alone. The
// sequences of a place have arrived together, so that no group is seen in part. Families do not reach over places:
// what is in a micro-batch would otherwise depend on whether the next place is there already.
std::vector<size_t> StreamedUpdate::next_part() const {
  std::vector<size_t> part;
  int64_t tokens = 0;
  size_t first = begun_;
  for (auto end = std::upper_bound(place_ends_.begin(), place_ends_.end(), begun_); end != place_ends_.end(); ++end) {
    std::vector<size_t> place(*end - first);
    std::iota(place.begin(), place.end(), first);
    first = *end;
    for (const Family& family : families_within(sequences_, place, sharing_of(learner_), learner_.budget.tokens())) {
      tokens += family.tokens;
      if (!part.empty() && tokens > learner_.budget.tokens()) return part;
      part.insert(part.end(), family.sequences.begin(), family.sequences.end());
    }
  }
  return part;
}

// A micro-batch is full, and runs, once a group has arrived that has no room in it. Until then it may still grow.
void StreamedUpdate::run_full_micro_batches() {
  for (auto part = next_part(); begun_ + part.size() < sequences_.size(); part = next_part()) run(part);
}

void StreamedUpdate::run_rest() {
  while (begun_ < sequences_.size()) run(next_part());
}

void StreamedUpdate::run(const std::vector<size_t>& part) {
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) {
      begun_ = sequences_.size();
      return;
    }
    running_since_ = Clock::now();
  }
  const bool fits = pass_->run(sequences_, part, /*last=*/false);
  // This thread waits here for the device, while the sampler's stream goes on. Without the wait it would launch many
  // micro-batches ahead, which makes nothing faster and holds their memory.
  if (const auto done = record_event(learner_.model.device())) done->synchronize();
  begun_ = fits ? begun_ + part.size() : 0;
  {
    const std::lock_guard lock(mutex_);
    busy_s_ += std::chrono::duration<double>(Clock::now() - *running_since_).count();
    running_since_.reset();
    progress_.done = fits ? progress_.done + 1 : 0;
    progress_.total = progress_.done + (begun_ < sequences_.size() ? 1 : 0);
    progress_.tokens = pass_->tokens();
  }
  changed_.notify_all();
}

// ---- the caller

void StreamedUpdate::wait_for_thread() {
  std::unique_lock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
  while (!ended_) {
    changed_.wait(lock);
    const Progress progress = progress_;
    lock.unlock();
    if (watch_.on_progress) watch_.on_progress(progress);
    lock.lock();
  }
  lock.unlock();
  thread_.join();
  rethrow();
}

UpdateStats StreamedUpdate::finish(std::optional<double> scale) {
  wait_for_thread();
  if (after_) after_->block(current_stream(learner_.model.device()));
  if (scale && UpdateGate(learner_, watch_).closes()) return {.dropped = true};
  finished_ = true;
  if (!scale) return no_update(learner_);  // all ranks return here together, so that no collective is left waiting
  learner_.communicator.enter_phase(watch_.name + ", reduction");
  return apply_gradient(learner_, *pass_, *scale);
}

}  // namespace grpo::update
