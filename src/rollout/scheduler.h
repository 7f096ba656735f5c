#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "rollout/page_allocator.h"
#include "rollout/sequence.h"

namespace grpo::rollout {

/// Decides what is computed next. Requests start in order as pages allow. The slot of a finished sequence is refilled
/// at once, or soon (idle_share). When pages run out, the youngest sequence gives up its pages and is computed again
/// later. The scheduler knows page numbers and lengths but neither model nor memory.
class Scheduler {
 public:
  struct Limits {
    int64_t max_sequences;   // most sequences that run together
    int64_t page_size;       // tokens per page
    int64_t num_pages;       // REQUIRES: at least the pages of the longest sequence and one more
    int64_t prefill_tokens;  // most prompt tokens of one pass; a longer prompt goes alone
    // Once all slots were taken, new prompts wait until more than idle_share slots per running sequence are free.
    double idle_share = 0.0;
  };

  explicit Scheduler(const Limits& limits);
  Scheduler(const std::vector<Request>& requests, const Limits& limits);

  /// Adds a request. REQUIRES: `number` is higher than those of earlier requests.
  void add(size_t number, const Request& request);

  bool done() const { return prompts_.empty() && preempted_.empty() && running_.empty(); }

  /// The running sequences in the order of their admission. The engine appends sampled tokens and
  /// increments `drawn` and `cached`.
  std::vector<std::shared_ptr<Sequence>>& running() { return running_; }

  /// Brings preempted sequences back as pages allow, the oldest first. Returns how many were appended to
  /// running(). They have pages for all tokens but the last, and `cached` counts these tokens; the caller must
  /// compute them before the next decode step.
  size_t resume();

  /// The prompts to prefill now, in request order, after giving them pages.
  std::vector<const WaitingPrompt*> admit();

  /// Starts samples of prompts that are in the cache, as slots allow. Returns how many were appended to running(), in
  /// the order of requests and samples; the caller draws their first tokens. Samples share the full pages of their
  /// prompt. A last page that is not full is copied for each sample, because each sample writes to its own.
  size_t start_samples(std::vector<PageCopy>& copies);

  /// Whether enough pages are free for make_room() to preempt no sequence.
  bool has_room() const;

  /// Gives every running sequence room for one more token, preempting sequences if pages run out. REQUIRES: has_room(),
  /// or all tokens of running sequences have come back, since a preempted sequence is computed again from them.
  void make_room();

  /// Removes the finished sequences from running() and returns them; the others keep their order.
  std::vector<std::shared_ptr<Sequence>> retire(const std::function<bool(const Sequence&)>& finished);

  /// Whether the request's prompt holds pages for samples that have not started.
  bool prompt_in_cache(size_t request) const;

  int64_t num_preempted() const { return num_preempted_; }
  const PageAllocator& pages() const { return pages_; }

 private:
  int64_t free_slots() const { return static_cast<int64_t>(slots_.size()); }
  bool fills_slots();
  bool needs_page(const Sequence& sequence) const;
  void run(std::shared_ptr<Sequence> sequence);
  void leave(Sequence& sequence);
  int64_t pages_for(int64_t tokens) const { return (tokens + limits_.page_size - 1) / limits_.page_size; }
  std::vector<int32_t> take_pages(int64_t tokens);
  void release(std::vector<int32_t>& pages);
  bool drop_prompt();
  void preempt_youngest();
  bool start_sample(WaitingPrompt& prompt, std::vector<PageCopy>& copies);

  Limits limits_;
  PageAllocator pages_;
  std::deque<WaitingPrompt> prompts_;                // in request order; the first ones may be in the cache
  std::deque<std::shared_ptr<Sequence>> preempted_;  // oldest first
  std::vector<std::shared_ptr<Sequence>> running_;
  std::vector<int64_t> slots_;  // free slots; the last one is given first
  int64_t num_preempted_ = 0;
  bool filling_ = true;  // true from when enough slots are free until all are taken
};

}  // namespace grpo::rollout
