#include "grpo/rollout/engine.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "grpo/base/error.h"
#include "grpo/kernels/sample.h"
#include "rollout/forward_batch.h"
#include "rollout/kv_cache.h"
#include "rollout/scheduler.h"

namespace grpo::rollout {
namespace {

constexpr int64_t kPrefillTokens = 4096;

// One generate() call: does what the scheduler decides.
class Generation {
 public:
  Generation(const models::CausalLM& model, KvCache& cache, bool exact, const Scheduler::Limits& limits,
             const std::vector<Request>& requests, const SamplingConfig& sampling, const base::RandomKey& key)
      : model_(model),
        cache_(cache),
        exact_(exact),
        requests_(requests),
        sampling_(sampling),
        key_(key),
        scheduler_(requests, limits) {
    for (size_t i = 0; i < requests.size(); ++i) {
      groups_.push_back(
          {.request = i, .completions = std::vector<Completion>(static_cast<size_t>(requests[i].num_samples))});
      unfinished_.push_back(requests[i].num_samples);
    }
  }

  std::vector<Group> run(const std::function<void(const Group&)>& on_group, const std::function<bool()>& should_stop) {
    on_group_ = on_group;
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (unfinished_[i] == 0) report(i);
    }
    while (!scheduler_.done()) {
      if (should_stop && should_stop()) return {};
      recompute();
      do {
        start_samples();
      } while (prefill());
      decode();
    }
    return std::move(groups_);
  }

  EngineStats stats() const {
    EngineStats stats = stats_;
    stats.preempted = scheduler_.num_preempted();
    return stats;
  }

 private:
  // Brings preempted sequences' keys and values back; their next token is drawn in the decode step that follows.
  void recompute() {
    const size_t count = scheduler_.resume();
    auto& running = scheduler_.running();
    for (size_t i = running.size() - count; i < running.size(); ++i) {
      std::vector<int64_t> tokens = requests_[running[i].request].prompt_ids;
      tokens.insert(tokens.end(), running[i].completion.ids.begin(), running[i].completion.ids.end() - 1);
      extend({{.ids = tokens.data(), .count = running[i].cached, .cached = 0, .pages = &running[i].pages}});
    }
  }

  // False when no prompt is admitted.
  bool prefill() {
    const auto prompts = scheduler_.admit();
    if (prompts.empty()) return false;
    std::vector<NewTokens> sequences;
    for (const Prompt* prompt : prompts) {
      const auto& ids = requests_[prompt->request].prompt_ids;
      sequences.push_back({.ids = ids.data(), .count = prompt->tokens, .cached = 0, .pages = &prompt->pages});
      stats_.prompt_tokens += prompt->tokens;
    }
    const auto logits = last_logits(sequences);
    for (size_t i = 0; i < prompts.size(); ++i)
      prompt_logits_[prompts[i]->request] = logits.narrow(0, static_cast<int64_t>(i), 1);
    return true;
  }

  // Draws the first token of the samples that start now.
  void start_samples() {
    std::vector<PageCopy> copies;
    const size_t count = scheduler_.start_samples(copies);
    if (count == 0) return;
    for (const auto& copy : copies) cache_.copy_page(copy.from, copy.to);
    auto& running = scheduler_.running();
    for (size_t first = running.size() - count; first < running.size();) {
      const size_t request = running[first].request;
      size_t end = first;
      while (end < running.size() && running[end].request == request) ++end;
      const auto& logits = prompt_logits_.at(request);
      sample(logits.expand({static_cast<int64_t>(end - first), -1}), first, end);
      if (!scheduler_.prompt_in_cache(request)) prompt_logits_.erase(request);
      first = end;
    }
    finish();
  }

  void decode() {
    scheduler_.make_room();
    auto& running = scheduler_.running();
    if (running.empty()) return;
    std::vector<NewTokens> sequences;
    for (const Sequence& sequence : running) {
      sequences.push_back(
          {.ids = &sequence.completion.ids.back(), .count = 1, .cached = sequence.cached, .pages = &sequence.pages});
    }
    const auto logits = last_logits(sequences);
    for (Sequence& sequence : running) ++sequence.cached;
    ++stats_.decode_steps;
    sample(logits, 0, running.size());
    finish();
  }

  // Final hidden states of each sequence's last token, [sequences, hidden].
  at::Tensor extend(const std::vector<NewTokens>& sequences) {
    auto batch = make_batch(sequences, model_.device());
    const auto hidden = model_.extend(batch, cache_.layers(), exact_);
    if (hidden.size(0) == static_cast<int64_t>(sequences.size())) return hidden;
    return hidden.index_select(0, batch.layout.query_offsets.slice(0, 1).to(at::kLong) - 1);
  }

  at::Tensor last_logits(const std::vector<NewTokens>& sequences) { return model_.logits(extend(sequences), exact_); }

  // Draws the next token of running [first, end); logits: a row for each.
  void sample(const at::Tensor& logits, size_t first, size_t end) {
    auto& running = scheduler_.running();
    std::vector<kernels::SampleParams> params;
    for (size_t i = first; i < end; ++i) {
      const Request& request = requests_[running[i].request];
      const auto sample_number = static_cast<uint32_t>(request.first_sample + running[i].sample);
      const auto position = static_cast<uint32_t>(running[i].completion.ids.size());
      params.push_back({.temperature = request.greedy ? 0.0 : sampling_.temperature,
                        .top_k = sampling_.top_k,
                        .top_p = sampling_.top_p,
                        .uniform = base::uniform(request.key.value_or(key_), request.draw, sample_number, position)});
    }
    const auto sampled = kernels::sample_tokens(logits, params);
    for (size_t i = first; i < end; ++i) {
      running[i].completion.ids.push_back(sampled.ids[i - first]);
      running[i].completion.log_probs.push_back(sampled.log_probs[i - first]);
    }
    stats_.completion_tokens += static_cast<int64_t>(params.size());
  }

  bool is_stop(int64_t id) const {
    return !sampling_.ignore_eos &&
           std::find(sampling_.stop_ids.begin(), sampling_.stop_ids.end(), id) != sampling_.stop_ids.end();
  }

  // Hands finished completions over and reports the groups they complete.
  void finish() {
    auto finished = scheduler_.retire([this](const Sequence& sequence) {
      const auto& ids = sequence.completion.ids;
      return is_stop(ids.back()) || static_cast<int64_t>(ids.size()) == sampling_.max_new_tokens;
    });
    for (Sequence& sequence : finished) {
      sequence.completion.finish_reason =
          is_stop(sequence.completion.ids.back()) ? FinishReason::kStop : FinishReason::kLength;
      groups_[sequence.request].completions[static_cast<size_t>(sequence.sample)] = std::move(sequence.completion);
      if (--unfinished_[sequence.request] == 0) report(sequence.request);
    }
  }

  void report(size_t request) {
    if (on_group_) on_group_(groups_[request]);
  }

  const models::CausalLM& model_;
  KvCache& cache_;
  const bool exact_;
  const std::vector<Request>& requests_;
  const SamplingConfig& sampling_;
  const base::RandomKey key_;
  Scheduler scheduler_;
  std::function<void(const Group&)> on_group_;
  std::vector<Group> groups_;
  std::vector<int64_t> unfinished_;                       // samples, by request
  std::unordered_map<size_t, at::Tensor> prompt_logits_;  // [1, V] of a cached prompt's last token, by request
  EngineStats stats_;
};

struct Demand {
  int64_t longest = 1;  // tokens of the longest sequence
  int64_t sequences = 0;
};

Demand demand_of(const std::vector<Request>& requests, const SamplingConfig& sampling, int64_t vocab_size) {
  Demand demand;
  for (const Request& request : requests) {
    GRPO_CHECK(!request.prompt_ids.empty() && request.num_samples >= 0, "a request of ", request.prompt_ids.size(),
               " prompt ids and ", request.num_samples, " samples");
    for (const int64_t id : request.prompt_ids)
      GRPO_CHECK(id >= 0 && id < vocab_size, "prompt id ", id, " of a vocabulary of ", vocab_size);
    demand.longest =
        std::max(demand.longest, static_cast<int64_t>(request.prompt_ids.size()) + sampling.max_new_tokens);
    demand.sequences += request.num_samples;
  }
  return demand;
}

}  // namespace

std::string to_string(FinishReason reason) { return reason == FinishReason::kStop ? "stop" : "length"; }

struct Engine::State {
  const models::CausalLM& model;
  EngineConfig config;
  std::optional<KvCache> cache;
  EngineStats stats;

  int64_t pages_for(int64_t tokens) const { return (tokens + config.page_size - 1) / config.page_size; }

  int64_t pages_wanted(const Demand& demand) const {
    if (config.num_pages.value) return *config.num_pages.value;
    // One page list more: a prompt stays in the cache while its samples start.
    const int64_t all = pages_for(demand.longest) * (std::min(config.max_sequences, demand.sequences) + 1) + 1;
    const auto bound = static_cast<int64_t>(config.kv_memory_gb * 1e9) / KvCache::page_bytes(model, config.page_size);
    return std::min(all, std::max<int64_t>(bound, 1));
  }

  // Memory for the call; kept from call to call, grown when a call wants more.
  int64_t prepare_cache(const Demand& demand) {
    const int64_t pages = pages_wanted(demand);
    // The longest sequence, and beside it one page while it starts or comes back.
    const int64_t least = pages_for(demand.longest) + 1;
    if (pages < least) {
      throw base::ConfigError(
          base::concat("the KV cache has ", pages, " pages of ", config.page_size, " tokens, but one sequence of ",
                       demand.longest, " tokens needs ", least, "; raise rollout.kv_memory_gb to at least ",
                       static_cast<double>(least * KvCache::page_bytes(model, config.page_size)) / 1e9,
                       " or lower rollout.max_new_tokens"));
    }
    if (!cache || cache->num_pages() < pages) {
      cache.reset();  // first the old memory goes
      cache.emplace(model, pages, config.page_size);
    }
    return pages;
  }
};

Engine::Engine(const models::CausalLM& model, const EngineConfig& config) : state_(new State{model, config, {}, {}}) {
  GRPO_CHECK(config.page_size >= 1 && config.max_sequences >= 1, "page_size ", config.page_size, ", max_sequences ",
             config.max_sequences);
}

Engine::~Engine() = default;

std::vector<Group> Engine::generate(const std::vector<Request>& requests, const SamplingConfig& sampling,
                                    const base::RandomKey& key, const std::function<void(const Group&)>& on_group,
                                    const std::function<bool()>& should_stop) {
  GRPO_CHECK(sampling.max_new_tokens >= 1, "max_new_tokens ", sampling.max_new_tokens);
  State& state = *state_;
  state.stats = {};
  if (requests.empty()) return {};
  const int64_t pages = state.prepare_cache(demand_of(requests, sampling, state.model.config().vocab_size));
  const at::NoGradGuard no_grad;
  Generation generation(state.model, *state.cache, state.config.exact,
                        {.max_sequences = state.config.max_sequences,
                         .page_size = state.config.page_size,
                         .num_pages = pages,
                         .prefill_tokens = kPrefillTokens},
                        requests, sampling, key);
  auto groups = generation.run(on_group, should_stop);
  state.stats = generation.stats();
  return groups;
}

const EngineStats& Engine::stats() const { return state_->stats; }

}  // namespace grpo::rollout
