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
/// at once (or soon: idle_share). When pages run out the youngest sequence gives up its own and is computed again
/// later. It knows only page numbers and lengths, no model and no memory.
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

  /// Adds a request. REQUIRES: its number is higher than those before.
  void add(size_t number, const Request& request);

  bool done() const { return prompts_.empty() && preempted_.empty() && running_.empty(); }

  /// The running sequences in the order of their admission. The engine appends sampled tokens and counts `drawn` and
  /// `cached` up.
  std::vector<std::shared_ptr<Sequence>>& running() { return running_; }

  /// Brings preempted sequences back as pages allow, the oldest first; returns how many were appended to running().
  /// They have pages for all tokens but the last, and `cached` counts these tokens; they must be computed before the
  /// next decode step.
  size_t resume();

  /// The prompts to prefill now, in request order; they have been given pages.
  std::vector<const WaitingPrompt*> admit();

  /// Starts samples of prompts that are in the cache, as slots allow; returns how many were appended to running(), in
  /// the order of requests and samples. The caller draws their first tokens. Whole pages of a prompt are shared. A last
  /// page that is not full is copied for each sample, because each writes to its own.
  size_t start_samples(std::vector<PageCopy>& copies);

  /// Whether make_room() would find room without preempting anybody.
  bool has_room() const;

  /// Gives every running sequence room for one more token, preempting where pages run out.
  /// REQUIRES: has_room(), or the tokens of all running sequences have come back: they are needed to recompute.
  void make_room();

  /// Takes the finished sequences out of running() and returns them; the others keep their order.
  std::vector<std::shared_ptr<Sequence>> retire(const std::function<bool(const Sequence&)>& finished);

  /// Whether pages of the request's prompt are held for samples that have not started.
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
  bool filling_ = true;  // true from the time when enough slots are free until all are taken
};

}  // namespace grpo::rollout
