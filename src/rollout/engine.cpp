#include "grpo/rollout/engine.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <deque>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/kernels/sample.h"
#include "rollout/kv_cache.h"
#include "rollout/sequence.h"

namespace grpo::rollout {
namespace {

constexpr int64_t kPrefillTokens = 4096;  // most prompt tokens of one prefill pass (a longer prompt goes alone)

// A row of one forward pass: the tokens a sequence adds and the pages it writes to.
struct Row {
  const int64_t* ids = nullptr;
  int64_t count = 0;
  int64_t cached = 0;  // tokens already in the cache
  const std::vector<int32_t>* pages = nullptr;
};

models::PagedBatch make_batch(const std::vector<Row>& rows, at::Device device) {
  const auto s = static_cast<int64_t>(rows.size());
  int64_t tokens = 0;
  size_t max_pages = 1;
  for (const Row& row : rows) {
    tokens += row.count;
    max_pages = std::max(max_pages, row.pages->size());
  }
  models::PagedBatch batch{.ids = at::empty({tokens}, at::kLong), .positions = at::empty({tokens}, at::kLong), .layout = {}};
  batch.layout.query_offsets = at::empty({s + 1}, at::kInt);
  batch.layout.context_lengths = at::empty({s}, at::kInt);
  batch.layout.page_table = at::zeros({s, static_cast<int64_t>(max_pages)}, at::kInt);
  auto* ids = batch.ids.data_ptr<int64_t>();
  auto* positions = batch.positions.data_ptr<int64_t>();
  auto* offsets = batch.layout.query_offsets.data_ptr<int32_t>();
  auto* lengths = batch.layout.context_lengths.data_ptr<int32_t>();
  auto* table = batch.layout.page_table.data_ptr<int32_t>();
  int64_t t = 0;
  offsets[0] = 0;
  for (int64_t i = 0; i < s; ++i) {
    const Row& row = rows[static_cast<size_t>(i)];
    for (int64_t j = 0; j < row.count; ++j, ++t) {
      ids[t] = row.ids[j];
      positions[t] = row.cached + j;
    }
    offsets[i + 1] = static_cast<int32_t>(t);
    lengths[i] = static_cast<int32_t>(row.cached + row.count);
    std::copy(row.pages->begin(), row.pages->end(), table + i * static_cast<int64_t>(max_pages));
  }
  if (!device.is_cpu()) {
    for (auto* tensor : {&batch.ids, &batch.positions, &batch.layout.query_offsets, &batch.layout.context_lengths,
                         &batch.layout.page_table}) {
      *tensor = tensor->to(device);
    }
  }
  return batch;
}

// One generate() call.
class Generation {
 public:
  Generation(const models::CausalLM& model, const EngineConfig& config, KvCache& cache, const std::vector<Request>& requests,
             const SamplingConfig& sampling, const base::RandomKey& key, EngineStats& stats)
      : model_(model), config_(config), cache_(cache), requests_(requests), sampling_(sampling), key_(key), stats_(stats) {
    for (size_t i = 0; i < requests.size(); ++i) {
      groups_.push_back({.request = i, .completions = std::vector<Completion>(static_cast<size_t>(requests[i].num_samples))});
      unfinished_.push_back(requests[i].num_samples);
      if (requests[i].num_samples > 0) prompts_.push_back({.request = i, .pages = {}, .logits = {}, .started = 0});
    }
  }

  // Gives all pages back, also when an exception ends the call early.
  ~Generation() {
    for (auto& prompt : prompts_) cache_.release(prompt.pages);
    for (auto& sequence : running_) cache_.release(sequence.pages);
  }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  std::vector<Group> run(const std::function<void(const Group&)>& on_group, const std::function<bool()>& should_stop) {
    on_group_ = on_group;
    report_empty_requests();
    while (work_left()) {
      if (should_stop && should_stop()) return {};
      admit();
      decode_step();
    }
    return std::move(groups_);
  }

 private:
  bool work_left() const { return !prompts_.empty() || !preempted_.empty() || !running_.empty(); }

  int64_t free_slots() const { return config_.max_sequences - static_cast<int64_t>(running_.size()); }

  void report_empty_requests() {
    for (size_t i = 0; i < requests_.size(); ++i) {
      if (unfinished_[i] == 0 && on_group_) on_group_(groups_[i]);
    }
  }

  // Fills free slots: preempted sequences first, then samples of prompts in the cache, then new prompts, in request order.
  void admit() {
    while (free_slots() > 0 && !preempted_.empty() && recompute_next()) {
    }
    if (!preempted_.empty()) return;
    start_samples();
    while (free_slots() > 0 && !prompts_.empty() && prompts_.front().pages.empty()) {
      if (!prefill()) return;
      start_samples();
    }
  }

  // Recomputes the oldest preempted sequence; false while its pages do not fit.
  bool recompute_next() {
    Sequence& sequence = preempted_.front();
    std::vector<int64_t> tokens = requests_[sequence.request].prompt_ids;
    tokens.insert(tokens.end(), sequence.completion.ids.begin(), sequence.completion.ids.end() - 1);
    const auto count = static_cast<int64_t>(tokens.size());
    // One page more than the past needs, so that it is not preempted again at once.
    while (cache_.pages().num_free() < cache_.pages_for(count) + 1 && running_.empty() && drop_prompt()) {
    }
    if (cache_.pages().num_free() < cache_.pages_for(count) + 1 && !running_.empty()) return false;
    take_pages(sequence.pages, count);
    forward({{.ids = tokens.data(), .count = count, .cached = 0, .pages = &sequence.pages}});
    sequence.cached = count;
    running_.push_back(std::move(sequence));
    preempted_.pop_front();
    return true;
  }

  // Prefills as many waiting prompts as fit one pass; false when pages must be freed first.
  bool prefill() {
    std::vector<Row> rows;
    int64_t tokens = 0;
    int64_t samples = 0;
    int64_t pages = 0;
    for (const PromptState& prompt : prompts_) {
      const Request& request = requests_[prompt.request];
      const auto count = static_cast<int64_t>(request.prompt_ids.size());
      const int64_t starting = std::min(request.num_samples - prompt.started, free_slots() - samples);
      // The prompt's own pages, and one for each sample that starts now.
      pages += cache_.pages_for(count) + starting;
      const bool alone = rows.empty() && running_.empty();
      if (starting <= 0 || (!rows.empty() && tokens + count > kPrefillTokens)) break;
      if (!alone && pages > cache_.pages().num_free()) break;
      rows.push_back({.ids = request.prompt_ids.data(), .count = count, .cached = 0, .pages = &prompt.pages});
      tokens += count;
      samples += starting;
    }
    if (rows.empty()) return false;
    for (size_t i = 0; i < rows.size(); ++i) take_pages(prompts_[i].pages, rows[i].count);
    const auto logits = forward(rows);
    for (size_t i = 0; i < rows.size(); ++i) prompts_[i].logits = logits[static_cast<int64_t>(i)];
    stats_.prompt_tokens += tokens;
    return true;
  }

  // Takes the last cached prompt's pages back; it is prefilled again when its turn comes. False when there is none.
  bool drop_prompt() {
    for (auto prompt = prompts_.rbegin(); prompt != prompts_.rend(); ++prompt) {
      if (prompt->pages.empty()) continue;
      cache_.release(prompt->pages);
      prompt->logits.reset();
      return true;
    }
    return false;
  }

  // Starts samples of prompts in the cache, drawing all their first tokens in one call.
  void start_samples() {
    std::vector<at::Tensor> logits;
    std::vector<Sequence> starting;
    size_t done = 0;
    for (auto& prompt : prompts_) {
      if (prompt.pages.empty()) break;
      const Request& request = requests_[prompt.request];
      const auto count = static_cast<int64_t>(request.prompt_ids.size());
      while (prompt.started < request.num_samples && free_slots() > static_cast<int64_t>(starting.size())) {
        const bool copies_page = count % cache_.page_size() != 0;
        if (copies_page && cache_.pages().num_free() == 0) break;
        Sequence sequence{.request = prompt.request, .sample = prompt.started++, .completion = {}, .pages = {}, .cached = count};
        sequence.pages = cache_.fork(prompt.pages, count);
        logits.push_back(prompt.logits);
        starting.push_back(std::move(sequence));
      }
      if (prompt.started < request.num_samples) break;
      cache_.release(prompt.pages);
      ++done;
    }
    prompts_.erase(prompts_.begin(), prompts_.begin() + static_cast<std::ptrdiff_t>(done));
    if (starting.empty()) return;
    const size_t first = running_.size();
    for (auto& sequence : starting) running_.push_back(std::move(sequence));
    sample(at::stack(logits), first);
    retire();
  }

  void decode_step() {
    if (running_.empty()) return;
    reserve_pages();
    std::vector<Row> rows;
    for (const Sequence& sequence : running_) {
      rows.push_back({.ids = &sequence.completion.ids.back(), .count = 1, .cached = sequence.cached, .pages = &sequence.pages});
    }
    const auto logits = forward(rows);
    for (Sequence& sequence : running_) ++sequence.cached;
    ++stats_.decode_steps;
    sample(logits, 0);
    retire();
  }

  // Gives every running sequence the page its next token needs; when pages run out the youngest gives its own up.
  void reserve_pages() {
    for (size_t i = 0; i < running_.size(); ++i) {
      if (static_cast<int64_t>(running_[i].pages.size()) * cache_.page_size() > running_[i].cached) continue;
      while (cache_.pages().num_free() == 0 && (drop_prompt() || running_.size() > i + 1)) {
        if (cache_.pages().num_free() == 0 && running_.size() > i + 1) preempt_youngest();
      }
      if (cache_.pages().num_free() == 0) {
        GRPO_CHECK(i > 0, "one sequence does not fit ", cache_.pages().num_pages(), " pages");
        preempt_youngest();  // itself: older sequences hold the rest
        return;
      }
      running_[i].pages.push_back(cache_.pages().take());
    }
  }

  void preempt_youngest() {
    Sequence& youngest = running_.back();
    cache_.release(youngest.pages);
    youngest.cached = 0;
    ++stats_.preempted;
    preempted_.push_front(std::move(youngest));
    running_.pop_back();
  }

  void take_pages(std::vector<int32_t>& pages, int64_t tokens) {
    for (int64_t need = cache_.pages_for(tokens); need > 0; --need) pages.push_back(cache_.pages().take());
  }

  // Logits of each row's last token, [rows, V].
  at::Tensor forward(const std::vector<Row>& rows) {
    auto batch = make_batch(rows, model_.device());
    auto hidden = model_.extend(batch, cache_.layers(), config_.exact);
    if (hidden.size(0) != static_cast<int64_t>(rows.size())) {
      const auto last = batch.layout.query_offsets.slice(0, 1).to(at::kLong) - 1;
      hidden = hidden.index_select(0, last);
    }
    return model_.logits(hidden, config_.exact);
  }

  // Draws the next token of running_[first...]; logits: one row for each.
  void sample(const at::Tensor& logits, size_t first) {
    std::vector<kernels::SampleParams> params;
    for (size_t i = first; i < running_.size(); ++i) {
      const Request& request = requests_[running_[i].request];
      const auto sample_number = static_cast<uint32_t>(request.first_sample + running_[i].sample);
      const auto position = static_cast<uint32_t>(running_[i].completion.ids.size());
      params.push_back({.temperature = sampling_.temperature,
                        .top_k = sampling_.top_k,
                        .top_p = sampling_.top_p,
                        .uniform = base::uniform(key_, request.draw, sample_number, position)});
    }
    const auto sampled = kernels::sample_tokens(logits, params);
    for (size_t i = first; i < running_.size(); ++i) {
      running_[i].completion.ids.push_back(sampled.ids[i - first]);
      running_[i].completion.log_probs.push_back(sampled.log_probs[i - first]);
    }
    stats_.completion_tokens += static_cast<int64_t>(params.size());
  }

  bool is_stop(int64_t id) const {
    return !sampling_.ignore_eos && std::find(sampling_.stop_ids.begin(), sampling_.stop_ids.end(), id) != sampling_.stop_ids.end();
  }

  // Takes finished sequences out of running_, keeping the order of the others, and reports groups that are complete.
  void retire() {
    size_t kept = 0;
    std::vector<size_t> complete;
    for (size_t i = 0; i < running_.size(); ++i) {
      Sequence& sequence = running_[i];
      const bool stopped = is_stop(sequence.completion.ids.back());
      if (!stopped && static_cast<int64_t>(sequence.completion.ids.size()) < sampling_.max_new_tokens) {
        if (kept != i) running_[kept] = std::move(sequence);
        ++kept;
        continue;
      }
      sequence.completion.finish_reason = stopped ? FinishReason::kStop : FinishReason::kLength;
      cache_.release(sequence.pages);
      groups_[sequence.request].completions[static_cast<size_t>(sequence.sample)] = std::move(sequence.completion);
      if (--unfinished_[sequence.request] == 0) complete.push_back(sequence.request);
    }
    running_.resize(kept);
    if (!on_group_) return;
    for (const size_t request : complete) on_group_(groups_[request]);
  }

  const models::CausalLM& model_;
  const EngineConfig& config_;
  KvCache& cache_;
  const std::vector<Request>& requests_;
  const SamplingConfig& sampling_;
  const base::RandomKey key_;
  EngineStats& stats_;
  std::function<void(const Group&)> on_group_;

  std::vector<Group> groups_;
  std::vector<int64_t> unfinished_;  // samples, by request
  std::deque<PromptState> prompts_;   // requests with samples still to start, in order; the first ones may be in the cache
  std::deque<Sequence> preempted_;    // oldest first
  std::vector<Sequence> running_;     // in order of admission
};

struct Demand {
  int64_t longest = 1;  // tokens of the longest sequence
  int64_t sequences = 0;
};

Demand demand_of(const std::vector<Request>& requests, const SamplingConfig& sampling) {
  Demand demand;
  for (const Request& request : requests) {
    GRPO_CHECK(!request.prompt_ids.empty(), "a request without prompt ids");
    demand.longest = std::max(demand.longest, static_cast<int64_t>(request.prompt_ids.size()) + sampling.max_new_tokens);
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

  int64_t pages_wanted(const Demand& demand) const {
    if (config.num_pages.value) return *config.num_pages.value;
    const int64_t per_sequence = (demand.longest + config.page_size - 1) / config.page_size;
    // One page list more: a prompt stays in the cache while its samples start.
    const int64_t all = per_sequence * (std::min(config.max_sequences, demand.sequences) + 1);
    const auto bound = static_cast<int64_t>(config.kv_memory_gb * 1e9) / KvCache::page_bytes(model, config.page_size);
    return std::min(all, std::max<int64_t>(bound, 1));
  }

  void prepare_cache(const Demand& demand) {
    const int64_t pages = pages_wanted(demand);
    // The longest sequence, and its prompt's pages beside it while it starts.
    const int64_t least = (demand.longest + config.page_size - 1) / config.page_size + 1;
    if (pages < least) {
      throw base::ConfigError(base::concat(
          "the KV cache has ", pages, " pages of ", config.page_size, " tokens, but one sequence of ", demand.longest,
          " tokens needs ", least, "; raise rollout.kv_memory_gb to at least ",
          static_cast<double>(least * KvCache::page_bytes(model, config.page_size)) / 1e9, " or lower rollout.max_new_tokens"));
    }
    if (!cache || cache->pages().num_pages() < pages) {
      cache.reset();  // first the old memory goes
      cache.emplace(model, pages, config.page_size);
    }
  }
};

Engine::Engine(const models::CausalLM& model, const EngineConfig& config) : state_(new State{model, config, {}, {}}) {
  GRPO_CHECK(config.page_size >= 1 && config.max_sequences >= 1, "page_size ", config.page_size, ", max_sequences ",
             config.max_sequences);
}

Engine::~Engine() = default;

std::vector<Group> Engine::generate(const std::vector<Request>& requests, const SamplingConfig& sampling, const base::RandomKey& key,
                                    const std::function<void(const Group&)>& on_group, const std::function<bool()>& should_stop) {
  GRPO_CHECK(sampling.max_new_tokens >= 1, "max_new_tokens ", sampling.max_new_tokens);
  state_->stats = {};
  if (requests.empty()) return {};
  state_->prepare_cache(demand_of(requests, sampling));
  const at::NoGradGuard no_grad;
  Generation generation(state_->model, state_->config, *state_->cache, requests, sampling, key, state_->stats);
  return generation.run(on_group, should_stop);
}

const EngineStats& Engine::stats() const { return state_->stats; }

}  // namespace grpo::rollout
