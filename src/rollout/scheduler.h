#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "rollout/page_allocator.h"
#include "rollout/sequence.h"

namespace grpo::rollout {

/// Decides what is computed next: requests start in order as pages allow, a finished sequence's slot is refilled at
/// once (or soon: idle_share), and when pages run out the youngest sequence gives its own up and is recomputed later.
/// Knows page numbers and lengths only, no model and no memory.
class Scheduler {
 public:
  struct Limits {
    int64_t max_sequences;    // running together
    int64_t page_size;        // tokens
    int64_t num_pages;        // REQUIRES: the pages of the longest sequence and one more
    int64_t prefill_tokens;   // of one pass; a longer prompt goes alone
    double idle_share = 0.0;  // once all slots are taken, prompts wait until so many are free for each running sequence
  };

  explicit Scheduler(const Limits& limits);
  Scheduler(const std::vector<Request>& requests, const Limits& limits);

  /// One more request. REQUIRES: a higher number than those before.
  void add(size_t number, const Request& request);

  bool done() const { return prompts_.empty() && preempted_.empty() && running_.empty(); }

  /// In order of admission. The engine appends sampled tokens and counts `drawn` and `cached` up.
  std::vector<std::shared_ptr<Sequence>>& running() { return running_; }

  /// Brings preempted sequences back, oldest first, as pages allow; returns how many were appended to running(). They
  /// have pages for all tokens but the last, which are to be computed before the next decode step; `cached` counts
  /// them.
  size_t resume();

  /// Prompts to prefill now, in request order; they have pages.
  std::vector<const WaitingPrompt*> admit();

  /// Starts samples of prompts in the cache as slots allow; returns how many were appended to running(), in request and
  /// sample order. Their first token is to be drawn. Whole prompt pages are shared; a last page that is not full is
  /// copied, because its holder writes to it.
  size_t start_samples(std::vector<PageCopy>& copies);

  /// Whether make_room() preempts nobody.
  bool has_room() const;

  /// Gives every running sequence room for one more token, preempting where pages run out.
  /// REQUIRES: has_room(), or the tokens of all running sequences have come back: they are needed to recompute.
  void make_room();

  /// Takes the sequences that are finished out of running(), keeping the order of the others.
  std::vector<std::shared_ptr<Sequence>> retire(const std::function<bool(const Sequence&)>& finished);

  /// Whether prompt pages of the request are held for samples to come.
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
  std::vector<int64_t> slots_;  // free ones; the last is given first
  int64_t num_preempted_ = 0;
  bool filling_ = true;  // from when enough slots are free until all are taken
};

}  // namespace grpo::rollout
