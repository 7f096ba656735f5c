#include "trainer/streamed_update.h"

#include <ATen/ATen.h>

#include <numeric>
#include <string>
#include <utility>

#include "grpo/base/error.h"
#include "trainer/live_rollouts.h"
#include "trainer/micro_batch.h"
#include "trainer/side_stream.h"
#include "trainer/stopping.h"
#include "trainer/token_budget.h"

namespace grpo::trainer {
StreamedUpdate::StreamedUpdate(StepContext& context, const std::vector<Prompt>& prompts)
    : context_(context), before_(record_event(context.policy.model->device())) {
  streamed_.prompts = prompts;
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
  groups_.emplace_back();
  return groups_.size() - 1;
}

void StreamedUpdate::take(size_t place, std::vector<Rollout> scored) {
  {
    const std::lock_guard lock(mutex_);
    groups_.at(place) = std::move(scored);
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
    const auto device = context_.policy.model->device();
    const auto guard = side_stream(device);
    if (before_) before_->block(current_stream(device));
    pass_.emplace(context_, /*scale=*/1.0);
    while (auto group = next_group()) {
      append(std::move(*group));
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

// In the order in which they were completed. None when no more will come.
std::optional<std::vector<Rollout>> StreamedUpdate::next_group() {
  std::unique_lock lock(mutex_);
  const auto ready = [&] { return next_place_ < groups_.size() && groups_[next_place_].has_value(); };
  changed_.wait(lock, [&] { return cancelled_ || ready() || (closed_ && next_place_ == groups_.size()); });
  if (cancelled_ || !ready()) return std::nullopt;
  return std::exchange(groups_[next_place_++], std::nullopt);
}

void StreamedUpdate::append(std::vector<Rollout> group) {
  RolloutBatch one;
  one.group_offsets = {0, static_cast<int64_t>(group.size())};
  one.rollouts = std::move(group);
  set_advantages(one, context_.config.algorithm.advantage);
  for (auto& rollout : one.rollouts) {
    if (trains(context_.config.algorithm, rollout)) streamed_.rollouts.push_back(std::move(rollout));
  }
}

// As many of the next rollouts as fit, at least one.
std::vector<size_t> StreamedUpdate::next_part() const {
  std::vector<size_t> part;
  int64_t tokens = 0;
  for (size_t index = begun_; index < streamed_.rollouts.size(); ++index) {
    tokens += packed_length(streamed_, index);
    if (!part.empty() && tokens > context_.micro_batch_tokens) break;
    part.push_back(index);
  }
  return part;
}

// A micro-batch is full when the rollout behind it has no room; the last one may still grow.
void StreamedUpdate::run_full_micro_batches() {
  for (auto part = next_part(); begun_ + part.size() < streamed_.rollouts.size(); part = next_part()) run(part);
}

void StreamedUpdate::run_rest() {
  while (begun_ < streamed_.rollouts.size()) run(next_part());
}

void StreamedUpdate::run(const std::vector<size_t>& part) {
  {
    const std::lock_guard lock(mutex_);
    if (cancelled_) {
      begun_ = streamed_.rollouts.size();
      return;
    }
    running_since_ = Clock::now();
  }
  std::optional<std::string> no_memory;
  try {
    pass_->run(streamed_, part, /*last=*/false);
    // The sampler's stream does not wait with it; launching far ahead would only hold memory.
    if (const auto done = record_event(context_.policy.model->device())) done->synchronize();
    begun_ += part.size();
  } catch (const std::exception& error) {
    if (!is_out_of_memory(error)) throw;
    no_memory = error.what();
  }
  if (no_memory) {
    shrink_micro_batches(context_, streamed_, part, *no_memory);
    pass_->drop();
    begun_ = 0;
  }
  {
    const std::lock_guard lock(mutex_);
    busy_s_ += std::chrono::duration<double>(Clock::now() - *running_since_).count();
    running_since_.reset();
    progress_.done = no_memory ? 0 : progress_.done + 1;
    progress_.total = progress_.done + (begun_ < streamed_.rollouts.size() ? 1 : 0);
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
    const StepProgress progress = progress_;
    lock.unlock();
    if (context_.on_progress) context_.on_progress(progress);
    lock.lock();
  }
  lock.unlock();
  thread_.join();
  rethrow();
}

UpdateStats StreamedUpdate::finish(const RolloutBatch& batch) {
  wait_for_thread();
  if (after_) after_->block(current_stream(context_.policy.model->device()));
  std::vector<size_t> all(batch.rollouts.size());
  std::iota(all.begin(), all.end(), size_t{0});
  const bool live = !live_rollouts(context_.config.algorithm, batch, all).empty();
  if (live && UpdateGate(context_).closes()) return {.dropped = true};
  finished_ = true;
  if (!live) return {};  // on every rank alike
  context_.communicator.enter_phase(base::concat("step ", context_.step, ", reduction"));
  return apply_gradient(context_, *pass_, loss_scale(context_.config, batch, all));
}

}  // namespace grpo::trainer
