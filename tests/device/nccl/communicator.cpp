#include "device/nccl/communicator.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "device/nccl/failure.h"

namespace grpo::device_nccl {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kLookEvery = std::chrono::milliseconds(20);

Clock::duration longest_wait() {
  const char* seconds = std::getenv("GRPO_NCCL_WAIT_S");
  return std::chrono::seconds(seconds != nullptr ? std::atoll(seconds) : 600);
}

bool silent_when_gone() {
  const char* what = std::getenv("GRPO_NCCL_GONE");
  return what != nullptr && std::strcmp(what, "hang") == 0;
}

// Most ranks come within microseconds, and then the processor is not to be given away.
void pause(int64_t round) {
  if (round < 100) {
    std::this_thread::yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

}  // namespace

Communicator::Communicator(std::string name, int ranks, int rank)
    : name_(std::move(name)), ranks_(ranks), rank_(rank) {}

Communicator::~Communicator() {
  if (segment_ != nullptr) segment_->leave();
}

void Communicator::join(bool all) {
  try {
    segment_ = std::make_unique<Segment>(name_, ranks_, rank_);
    const auto all_here = [this] { return segment_->joined() >= ranks_; };
    if (all) wait_until(all_here, "the other ranks to join");
    if (all_here()) segment_->forget_name();
    error_ = ncclSuccess;
  } catch (const Failure& failure) {
    set_error(failure.code, failure.what());
    throw;
  } catch (const Stopped&) {
    set_error(ncclSystemError, "the other ranks did not join");
    throw Failure(ncclSystemError, last_error());
  }
}

void Communicator::wait_until(const std::function<bool()>& condition, const std::string& what) {
  const auto begin = Clock::now();
  auto looked = begin;
  for (int64_t round = 0; !condition(); ++round) {
    if (aborted_) throw Stopped();
    const auto now = Clock::now();
    if (now - begin > longest_wait()) {
      set_error(ncclSystemError, "waited GRPO_NCCL_WAIT_S for " + what);
      throw Stopped();
    }
    if (now - looked > kLookEvery) {
      look_for_the_gone(what);
      looked = now;
    }
    pause(round);
  }
}

void Communicator::look_for_the_gone(const std::string& what) {
  if (error_ != ncclSuccess || silent_when_gone() || segment_->joined() < ranks_)
    return;  // who has not come yet is not gone
  for (int rank = 0; rank < ranks_; ++rank) {
    if (!segment_->is_here(rank))
      return set_error(ncclRemoteError, "rank " + std::to_string(rank) + " is gone, on which waited " + what);
  }
}

void Communicator::meet(Meeting& meeting, uint64_t& number, const std::string& what) {
  ++number;
  meeting.arrived[static_cast<size_t>(rank_)] = number;
  wait_until(
      [&] {
        for (int rank = 0; rank < ranks_; ++rank) {
          if (meeting.arrived[static_cast<size_t>(rank)] < number) return false;
        }
        return true;
      },
      what);
}

void Communicator::run(const std::function<void()>& operations) {
  ++running_;
  try {
    if (!aborted_) operations();
  } catch (const Stopped&) {
    // The stream goes on; what the host is told is in error().
  }
  --running_;
}

void Communicator::abort() {
  aborted_ = true;
  while (running_ > 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
  if (segment_ != nullptr) segment_->leave();
}

void Communicator::set_error(ncclResult_t error, const std::string& what) {
  const std::lock_guard lock(mutex_);
  std::fprintf(stderr, "nccl on the host device: rank %d: %s\n", rank_, what.c_str());
  last_error_ = what;
  error_ = error;
}

std::string Communicator::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

}  // namespace grpo::device_nccl
