#include "rollout/scheduler.h"

#include <algorithm>

#include "grpo/base/error.h"

namespace grpo::rollout {

Scheduler::Scheduler(const Limits& limits) : limits_(limits), pages_(limits.num_pages) {
  for (int64_t slot = limits.max_sequences - 1; slot >= 0; --slot) slots_.push_back(slot);
}

Scheduler::Scheduler(const std::vector<Request>& requests, const Limits& limits) : Scheduler(limits) {
  for (size_t i = 0; i < requests.size(); ++i) add(i, requests[i]);
}

void Scheduler::add(size_t number, const Request& request) {
  if (request.num_samples == 0) return;
  prompts_.push_back({.request = number,
                      .tokens = static_cast<int64_t>(request.prompt_ids.size()),
                      .num_samples = request.num_samples,
                      .started = 0,
                      .pages = {}});
}

size_t Scheduler::resume() {
  size_t count = 0;
  while (!preempted_.empty() && free_slots() > 0) {
    Sequence& sequence = *preempted_.front();
    // One page more than its tokens need, so that the sequence is not preempted again at once.
    const int64_t need = pages_for(sequence.cached) + 1;
    while (running_.empty() && pages_.num_free() < need && drop_prompt()) {
    }
    if (pages_.num_free() < need && !running_.empty()) break;
    sequence.pages = take_pages(sequence.cached);
    run(std::move(preempted_.front()));
    preempted_.pop_front();
    ++count;
  }
  return count;
}

std::vector<const WaitingPrompt*> Scheduler::admit() {
  std::vector<const WaitingPrompt*> admitted;
  if (!preempted_.empty() || prompts_.empty() || prompts_.front().in_cache() || !fills_slots()) return admitted;
  int64_t tokens = 0;
  int64_t samples = 0;
  int64_t pages = 0;
  for (WaitingPrompt& prompt : prompts_) {
    const int64_t starting = std::min(prompt.num_samples - prompt.started, free_slots() - samples);
    // The pages of the prompt itself, and one for each sample that starts now.
    pages += pages_for(prompt.tokens) + starting;
    const bool alone = admitted.empty() && running_.empty();
    if (starting <= 0 || (!admitted.empty() && tokens + prompt.tokens > limits_.prefill_tokens)) break;
    if (!alone && pages > pages_.num_free()) break;
    admitted.push_back(&prompt);
    tokens += prompt.tokens;
    samples += starting;
    if (alone && pages > pages_.num_free()) break;
  }
  for (WaitingPrompt& prompt : prompts_) {
    if (admitted.empty() || prompt.request > admitted.back()->request) break;
    prompt.pages = take_pages(prompt.tokens);
  }
  return admitted;
}

bool Scheduler::fills_slots() {
  const auto waited_for = limits_.idle_share * static_cast<double>(running_.size());
  filling_ = filling_ || static_cast<double>(free_slots()) > waited_for;
  return filling_;
}

size_t Scheduler::start_samples(std::vector<PageCopy>& copies) {
  if (!preempted_.empty()) return 0;
  const size_t before = running_.size();
  while (!prompts_.empty() && prompts_.front().in_cache()) {
    WaitingPrompt& prompt = prompts_.front();
    while (prompt.started < prompt.num_samples && free_slots() > 0 && start_sample(prompt, copies)) {
    }
    if (prompt.started < prompt.num_samples) break;
    prompts_.pop_front();
  }
  return running_.size() - before;
}

bool Scheduler::start_sample(WaitingPrompt& prompt, std::vector<PageCopy>& copies) {
  auto started = std::make_shared<Sequence>();
  Sequence& sequence = *started;
  sequence.request = prompt.request;
  sequence.sample = prompt.started;
  sequence.cached = prompt.tokens;
  if (prompt.started + 1 == prompt.num_samples) {
    sequence.pages = std::move(prompt.pages);  // the last sample takes the pages of the prompt itself
  } else {
    const bool copies_page = prompt.tokens % limits_.page_size != 0;
    if (copies_page && pages_.num_free() == 0) return false;
    sequence.pages = prompt.pages;
    if (copies_page) sequence.pages.pop_back();
    for (const int32_t page : sequence.pages) pages_.share(page);
    if (copies_page) {
      sequence.pages.push_back(pages_.take());
      copies.push_back({.from = prompt.pages.back(), .to = sequence.pages.back()});
    }
  }
  ++prompt.started;
  run(std::move(started));
  return true;
}

void Scheduler::run(std::shared_ptr<Sequence> sequence) {
  sequence->slot = slots_.back();
  slots_.pop_back();
  running_.push_back(std::move(sequence));
  filling_ = filling_ && !slots_.empty();
}

// Pages and slot of a sequence that leaves may be given to others at once: the device does what it was asked for in
// order, so it is done with this sequence before it begins with the others.
void Scheduler::leave(Sequence& sequence) {
  release(sequence.pages);
  slots_.push_back(sequence.slot);
}

bool Scheduler::needs_page(const Sequence& sequence) const {
  return static_cast<int64_t>(sequence.pages.size()) * limits_.page_size <= sequence.cached;
}

bool Scheduler::has_room() const {
  const auto needed = std::count_if(running_.begin(), running_.end(), [this](const auto& s) { return needs_page(*s); });
  return needed <= pages_.num_free();
}

void Scheduler::make_room() {
  for (size_t i = 0; i < running_.size(); ++i) {
    if (!needs_page(*running_[i])) continue;
    while (pages_.num_free() == 0 && i < running_.size()) {
      if (drop_prompt()) continue;
      GRPO_CHECK(running_.size() > 1, "one sequence of ", running_[0]->cached + 1, " tokens does not fit ",
                 pages_.num_pages(), " pages");
      preempt_youngest();
    }
    if (i < running_.size()) running_[i]->pages.push_back(pages_.take());
  }
}

std::vector<std::shared_ptr<Sequence>> Scheduler::retire(const std::function<bool(const Sequence&)>& finished) {
  std::vector<std::shared_ptr<Sequence>> retired, kept;
  if (std::none_of(running_.begin(), running_.end(), [&](const auto& s) { return finished(*s); })) return retired;
  for (auto& sequence : running_) (finished(*sequence) ? retired : kept).push_back(std::move(sequence));
  running_ = std::move(kept);
  for (const auto& sequence : retired) leave(*sequence);
  return retired;
}

bool Scheduler::prompt_in_cache(size_t request) const {
  for (const WaitingPrompt& prompt : prompts_) {
    if (!prompt.in_cache()) return false;
    if (prompt.request == request) return true;
  }
  return false;
}

// Frees the pages of the last prompt that is in the cache; that prompt is prefilled again when its turn comes. Returns
// false if no prompt is in the cache.
bool Scheduler::drop_prompt() {
  for (auto prompt = prompts_.rbegin(); prompt != prompts_.rend(); ++prompt) {
    if (!prompt->in_cache()) continue;
    release(prompt->pages);
    return true;
  }
  return false;
}

void Scheduler::preempt_youngest() {
  leave(*running_.back());
  preempted_.push_front(std::move(running_.back()));
  running_.pop_back();
  ++num_preempted_;
}

std::vector<int32_t> Scheduler::take_pages(int64_t tokens) {
  std::vector<int32_t> pages(static_cast<size_t>(pages_for(tokens)));
  for (int32_t& page : pages) page = pages_.take();
  return pages;
}

void Scheduler::release(std::vector<int32_t>& pages) {
  for (const int32_t page : pages) pages_.release(page);
  pages.clear();
}

}  // namespace grpo::rollout
