#include "kernels/emulation/block.h"

#include <boost/context/detail/fcontext.hpp>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// Boost's switch of stacks takes nanoseconds; the C library's asks the kernel twice each time, and a block of 1024
// threads switches hundreds of thousands of times.
namespace grpo::testing {
namespace {

using boost::context::detail::fcontext_t;
using boost::context::detail::jump_fcontext;
using boost::context::detail::make_fcontext;
using boost::context::detail::transfer_t;

// Nine lines of the cache more than a power of two: the ends of the stacks, where all the work is, would otherwise lie
// in the same few sets of the cache and push each other out.
constexpr size_t kStackBytes = 64 * 1024 + 9 * 64;
constexpr unsigned kWarp = 32;

enum class State { kRuns, kWaitsForBlock, kWaitsForWarp, kLeft };

struct Thread {
  fcontext_t context = nullptr;
  State state = State::kRuns;
  bool second_slots = false;  // of its warp's two sets: the one that its latest exchange used
};

struct Block {
  BlockIndex index;
  std::vector<Thread> threads;
  std::unique_ptr<char[]> stacks;  // of so many threads, one behind the other
  size_t num_stacks = 0;
  std::vector<uint64_t> slots;  // two sets for each warp
  std::vector<std::max_align_t> shared;
  const std::function<void()>* kernel = nullptr;
  fcontext_t scheduler = nullptr;
  unsigned running = 0;
  std::exception_ptr error;
};

Block block;
ThreadOrder order = ThreadOrder::kForward;

Thread& running_thread() { return block.threads[block.running]; }

// Back to the scheduler, until it comes back here.
void pause() { block.scheduler = jump_fcontext(block.scheduler, nullptr).fctx; }

void begin_thread(transfer_t from) {
  block.scheduler = from.fctx;
  try {
    (*block.kernel)();
  } catch (...) {
    block.error = std::current_exception();
  }
  running_thread().state = State::kLeft;
  pause();
}

void wait(State state) {
  running_thread().state = state;
  pause();
}

// Runs each thread that can up to its next wait. False when none could.
bool run_round() {
  bool ran = false;
  const auto count = static_cast<unsigned>(block.threads.size());
  for (unsigned i = 0; i < count && !block.error; ++i) {
    block.running = order == ThreadOrder::kForward ? i : count - 1 - i;
    if (running_thread().state != State::kRuns) continue;
    ran = true;
    Thread& thread = running_thread();
    thread.context = jump_fcontext(thread.context, nullptr).fctx;
  }
  return ran;
}

// Lets threads [begin, end) go on when all of them wait like this; with `leavers` those that have left count as
// waiting.
bool release(size_t begin, size_t end, State state, bool leavers) {
  size_t waiting = 0, left = 0;
  for (size_t i = begin; i < end; ++i) {
    waiting += block.threads[i].state == state;
    left += block.threads[i].state == State::kLeft;
  }
  if (waiting == 0 || waiting + (leavers ? left : 0) != end - begin) return false;
  for (size_t i = begin; i < end; ++i) {
    if (block.threads[i].state == state) block.threads[i].state = State::kRuns;
  }
  return true;
}

bool release_waiting() {
  bool released = release(0, block.threads.size(), State::kWaitsForBlock, true);
  for (size_t begin = 0; begin < block.threads.size(); begin += kWarp)
    released =
        release(begin, std::min<size_t>(begin + kWarp, block.threads.size()), State::kWaitsForWarp, false) || released;
  return released;
}

void make_stacks(size_t threads) {
  if (block.num_stacks >= threads) return;
  block.stacks = std::make_unique_for_overwrite<char[]>(threads * kStackBytes);
  block.num_stacks = threads;
}

bool all_left() {
  for (const Thread& thread : block.threads) {
    if (thread.state != State::kLeft) return false;
  }
  return true;
}

}  // namespace

void set_thread_order(ThreadOrder new_order) { order = new_order; }

void run_block(BlockIndex index, unsigned threads, size_t shared_bytes, const std::function<void()>& kernel) {
  if (threads % kWarp != 0)
    throw std::logic_error("a block of " + std::to_string(threads) + " threads: not whole warps");
  block.index = index;
  block.slots.assign(2 * threads, 0);
  block.shared.resize(shared_bytes / sizeof(std::max_align_t) + 1);
  block.kernel = &kernel;
  block.error = nullptr;
  make_stacks(threads);
  block.threads.assign(threads, {});
  for (size_t i = 0; i < threads; ++i)
    block.threads[i].context = make_fcontext(block.stacks.get() + (i + 1) * kStackBytes, kStackBytes, begin_thread);
  while (!all_left()) {
    const bool ran = run_round();
    if (block.error) std::rethrow_exception(block.error);
    if (!release_waiting() && !ran) throw std::logic_error("threads wait at a barrier that others do not reach");
  }
}

BlockIndex emulated_thread() { return {block.running, 0}; }
BlockIndex emulated_block() { return block.index; }
BlockIndex emulated_block_size() { return {static_cast<unsigned>(block.threads.size()), 1}; }
void* emulated_shared_memory() { return block.shared.data(); }
void wait_for_block() { wait(State::kWaitsForBlock); }
void wait_for_warp() { wait(State::kWaitsForWarp); }
void trap() { throw std::runtime_error("a kernel stopped with __trap()"); }

uint64_t* next_warp_slots() {
  Thread& thread = running_thread();
  thread.second_slots = !thread.second_slots;
  return &block.slots[2 * (block.running / kWarp * kWarp) + (thread.second_slots ? kWarp : 0)];
}

}  // namespace grpo::testing
