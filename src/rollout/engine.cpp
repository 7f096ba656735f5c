#include "grpo/rollout/engine.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>
#include <unordered_map>

#include "grpo/base/error.h"
#include "grpo/kernels/cuda.h"
#include "grpo/rollout/non_finite.h"
#include "rollout/kv_cache.h"
#include "rollout/model_runner.h"
#include "rollout/scheduler.h"

namespace grpo::rollout {
namespace {

constexpr int64_t kPrefillTokens = 4096;
// Graphs are made for sequences of so many tokens or a multiple, so that slowly growing calls do not make them anew
// each time.
constexpr int64_t kTokensStep = 1024;

// One generate() call: does what the scheduler decides. The host may be some steps ahead of the tokens that have come
// back; it then sees a stop token late, and what was drawn past it is dropped.
class Generation {
 public:
  Generation(ModelRunner& runner, KvCache& cache, int64_t steps_ahead, const Scheduler::Limits& limits,
             const std::vector<Request>& requests, const RequestQueue* queue, const SamplingConfig& sampling,
             const base::RandomKey& key)
      : runner_(runner),
        cache_(cache),
        steps_ahead_(static_cast<size_t>(steps_ahead)),
        requests_(requests),
        queue_(queue),
        sampling_(sampling),
        key_(key),
        scheduler_(limits),
        unfinished_(requests.size(), 0) {
    for (size_t i = 0; i < requests.size(); ++i) groups_.push_back({.request = i, .completions = {}});
  }

  std::vector<Group> run(const std::function<void(const Group&)>& on_group, const std::function<bool()>& should_stop) {
    on_group_ = on_group;
    if (queue_ == nullptr) begin(0, requests_.size());
    while (take_requests() || !scheduler_.done()) {
      if (should_stop && should_stop()) return {};
      recompute();
      do {
        start_samples();
      } while (prefill());
      decode();
    }
    collect(0);
    return std::move(groups_);
  }

  EngineStats stats() const {
    EngineStats stats = stats_;
    stats.preempted = scheduler_.num_preempted();
    return stats;
  }

 private:
  using Sequences = std::vector<std::shared_ptr<Sequence>>;

  struct Step {
    DrawnTokens tokens;
    Sequences sequences;  // one a token
  };

  void begin(size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) {
      groups_[i].completions.resize(static_cast<size_t>(requests_[i].num_samples));
      unfinished_[i] = requests_[i].num_samples;
      ++open_;
      scheduler_.add(i, requests_[i]);
      if (unfinished_[i] == 0) report(i);
    }
  }

  // False when there are no more, or no room for more.
  bool take_requests() {
    if (queue_ == nullptr || open_ >= queue_->together) return false;
    const auto [first, last] = queue_->take(queue_->together - open_);
    if (first == last) queue_ = nullptr;
    begin(first, last);
    return first < last;
  }

  // Brings preempted sequences' keys and values back; their next token is drawn in the decode step that follows.
  void recompute() {
    const size_t count = scheduler_.resume();
    auto& running = scheduler_.running();
    for (size_t i = running.size() - count; i < running.size(); ++i) {
      const Sequence& sequence = *running[i];
      std::vector<int64_t> tokens = requests_[sequence.request].prompt_ids;
      tokens.insert(tokens.end(), sequence.completion.ids.begin(), sequence.completion.ids.end() - 1);
      runner_.extend({{.ids = tokens.data(), .count = sequence.cached, .cached = 0, .pages = &sequence.pages}});
      runner_.set_last_token(sequence.slot, sequence.completion.ids.back());
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
    const auto logits = runner_.last_logits(sequences);
    for (size_t i = 0; i < prompts.size(); ++i)
      prompt_logits_[prompts[i]->request] = logits.narrow(0, static_cast<int64_t>(i), 1);
    return true;
  }

  // Draws the first token of the samples that start now.
  void start_samples() {
    std::vector<PageCopy> copies;
    const size_t count = scheduler_.start_samples(copies);
    if (count == 0) return;
    cache_.copy_pages(copies);
    const auto& running = scheduler_.running();
    const Sequences started(running.end() - static_cast<int64_t>(count), running.end());
    for (auto first = started.begin(); first != started.end();) {
      const size_t request = (*first)->request;
      const auto end = std::find_if(first, started.end(), [&](const auto& s) { return s->request != request; });
      const Sequences samples(first, end);
      const auto logits = prompt_logits_.at(request).expand({static_cast<int64_t>(samples.size()), -1});
      add({runner_.draw(logits, rows_of(samples)), samples});
      if (!scheduler_.prompt_in_cache(request)) prompt_logits_.erase(request);
      first = end;
    }
    collect(steps_ahead_);
  }

  void decode() {
    // Who gives its pages up is recomputed from its tokens.
    if (!scheduler_.has_room()) collect(0);
    scheduler_.make_room();
    const Sequences running = scheduler_.running();
    if (running.empty()) return;
    add({runner_.decode(rows_of(running)), running});
    for (const auto& sequence : running) ++sequence->cached;
    ++stats_.decode_steps;
    collect(steps_ahead_);
  }

  std::vector<Row> rows_of(const Sequences& sequences) const {
    std::vector<Row> rows;
    for (const auto& sequence : sequences) {
      const Request& request = requests_[sequence->request];
      const auto sample = static_cast<uint32_t>(request.first_sample + sequence->sample);
      rows.push_back({.slot = sequence->slot,
                      .cached = sequence->cached,
                      .pages = &sequence->pages,
                      .params = {.temperature = request.greedy ? 0.0 : sampling_.temperature,
                                 .top_k = sampling_.top_k,
                                 .top_p = sampling_.top_p,
                                 .uniform = base::uniform(request.key.value_or(key_), request.draw, sample,
                                                          static_cast<uint32_t>(sequence->drawn))}});
    }
    return rows;
  }

  void add(Step step) {
    for (const auto& sequence : step.sequences) ++sequence->drawn;
    steps_.push_back(std::move(step));
  }

  // Takes tokens from the device until no more than `left` steps are on their way; sequences that are through leave.
  void collect(size_t left) {
    for (; steps_.size() > left; steps_.pop_front()) {
      Step& step = steps_.front();
      step.tokens.wait();
      for (size_t i = 0; i < step.sequences.size(); ++i)
        append(*step.sequences[i], step.tokens.ids()[i], step.tokens.log_probs()[i]);
    }
    scheduler_.retire(
        [this](const Sequence& sequence) { return sequence.ended || sequence.drawn == sampling_.max_new_tokens; });
  }

  void append(Sequence& sequence, int64_t id, float log_prob) {
    if (sequence.ended) return;
    if (std::isnan(log_prob)) {
      throw NonFiniteLogits(base::concat("sampling: the logits of draw ", requests_[sequence.request].draw, ", sample ",
                                         sequence.sample, ", token ", sequence.completion.ids.size(),
                                         " are NaN or all infinite; the weights may have diverged"));
    }
    Completion& completion = sequence.completion;
    completion.ids.push_back(id);
    completion.log_probs.push_back(log_prob);
    ++stats_.completion_tokens;
    const bool stopped = is_stop(id);
    sequence.ended = stopped || static_cast<int64_t>(completion.ids.size()) == sampling_.max_new_tokens;
    if (!sequence.ended) return;
    completion.finish_reason = stopped ? FinishReason::kStop : FinishReason::kLength;
    groups_[sequence.request].completions[static_cast<size_t>(sequence.sample)] = std::move(completion);
    if (--unfinished_[sequence.request] == 0) report(sequence.request);
  }

  bool is_stop(int64_t id) const {
    return !sampling_.ignore_eos &&
           std::find(sampling_.stop_ids.begin(), sampling_.stop_ids.end(), id) != sampling_.stop_ids.end();
  }

  void report(size_t request) {
    --open_;
    if (on_group_) on_group_(groups_[request]);
  }

  ModelRunner& runner_;
  KvCache& cache_;
  const size_t steps_ahead_;
  const std::vector<Request>& requests_;
  const RequestQueue* queue_;  // null: none, or nothing left in it
  size_t open_ = 0;            // requests begun and not reported
  const SamplingConfig& sampling_;
  const base::RandomKey key_;
  Scheduler scheduler_;
  std::function<void(const Group&)> on_group_;
  std::deque<Step> steps_;  // on their way, the oldest first
  std::vector<Group> groups_;
  std::vector<int64_t> unfinished_;                       // samples, by request
  std::unordered_map<size_t, at::Tensor> prompt_logits_;  // [1, V] of a cached prompt's last token, by request
  EngineStats stats_;
};

Demand most_of(const Demand& a, const Demand& b) {
  return {.longest = std::max(a.longest, b.longest), .sequences = std::max(a.sequences, b.sequences)};
}

Demand demand_of(const std::vector<Request>& requests, const RequestQueue* queue, const SamplingConfig& sampling,
                 int64_t vocab_size) {
  Demand demand;
  int64_t most_samples = 0;
  for (const Request& request : requests) {
    GRPO_CHECK(!request.prompt_ids.empty() && request.num_samples >= 0, "a request of ", request.prompt_ids.size(),
               " prompt ids and ", request.num_samples, " samples");
    for (const int64_t id : request.prompt_ids)
      GRPO_CHECK(id >= 0 && id < vocab_size, "prompt id ", id, " of a vocabulary of ", vocab_size);
    demand.longest =
        std::max(demand.longest, static_cast<int64_t>(request.prompt_ids.size()) + sampling.max_new_tokens);
    demand.sequences += request.num_samples;
    most_samples = std::max(most_samples, request.num_samples);
  }
  if (queue != nullptr)
    demand.sequences = std::min(demand.sequences, static_cast<int64_t>(queue->together) * most_samples);
  return demand;
}

}  // namespace

int64_t auto_max_sequences(bool cuda) { return cuda ? 512 : 256; }

double auto_kv_memory_gb(double device_gb, double weights_gb, double beside_gb) {
  if (device_gb == 0.0) return 4.0;
  return std::max(0.9 * device_gb - weights_gb - beside_gb, 0.0);
}

std::string to_string(FinishReason reason) { return reason == FinishReason::kStop ? "stop" : "length"; }

struct Engine::State {
  const models::CausalLM& model;
  EngineConfig config;
  std::optional<KvCache> cache;
  std::optional<ModelRunner> runner;
  std::vector<const void*> weights;  // where they lay when the runner was made
  EngineStats stats;

  int64_t pages_for(int64_t tokens) const { return (tokens + config.page_size - 1) / config.page_size; }

  double idle_share() const { return config.idle_share.value.value_or(model.device().is_cuda() ? 1.0 / 32.0 : 0.0); }

  int64_t steps_ahead() const { return config.steps_ahead.value.value_or(model.device().is_cuda() ? 2 : 0); }

  double kv_memory_gb() const {
    if (config.kv_memory_gb.value) return *config.kv_memory_gb.value;
    double weights = 0.0;
    for (const auto& [name, tensor] : model.parameters()) weights += static_cast<double>(tensor.nbytes());
    const double device = model.device().is_cuda() ? kernels::cuda_memory_bytes(model.device().index()) : 0.0;
    return auto_kv_memory_gb(device / 1e9, weights / 1e9, config.beside_gb);
  }

  int64_t pages_wanted(const Demand& demand) const {
    if (config.num_pages.value) return *config.num_pages.value;
    // One page list more: a prompt stays in the cache while its samples start.
    const int64_t all = pages_for(demand.longest) * (std::min(config.max_sequences, demand.sequences) + 1) + 1;
    const auto bound = static_cast<int64_t>(kv_memory_gb() * 1e9) / KvCache::page_bytes(model, config.page_size);
    return std::min(all, std::max<int64_t>(bound, 1));
  }

  // Memory for the call; kept from call to call, grown when a call wants more.
  int64_t prepare_cache(const Demand& demand) {
    const int64_t pages = pages_wanted(most_of(demand, config.expected));
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
      runner.reset();
      cache.reset();  // first the old memory goes
      cache.emplace(model, pages, config.page_size);
    }
    return pages;
  }

  // Graphs remember where weights, cache and tables lie.
  ModelRunner& prepare_runner(const Demand& demand) {
    std::vector<const void*> places;
    for (const auto& [name, tensor] : model.parameters()) places.push_back(tensor.const_data_ptr());
    const int64_t longest = most_of(demand, config.expected).longest;
    const bool fits = runner && runner->options().max_tokens >= longest && places == weights;
    if (fits) return *runner;
    weights = std::move(places);
    const bool graphs = config.graphs.value.value_or(model.device().is_cuda());
    return runner.emplace(model, *cache,
                          ModelRunner::Options{.max_sequences = config.max_sequences,
                                               .max_tokens = (longest + kTokensStep - 1) / kTokensStep * kTokensStep,
                                               .exact = config.exact,
                                               .padded = graphs || model.device().is_cuda(),
                                               .decode_kernel = config.decode_kernel,
                                               .graphs = graphs});
  }
};

Engine::Engine(const models::CausalLM& model, const EngineConfig& config)
    : state_(new State{.model = model, .config = config, .cache = {}, .runner = {}, .weights = {}, .stats = {}}) {
  GRPO_CHECK(config.page_size >= 1 && config.max_sequences >= 1, "page_size ", config.page_size, ", max_sequences ",
             config.max_sequences);
}

Engine::~Engine() = default;

std::vector<Group> Engine::generate(const std::vector<Request>& requests, const SamplingConfig& sampling,
                                    const base::RandomKey& key, const std::function<void(const Group&)>& on_group,
                                    const std::function<bool()>& should_stop, const RequestQueue* queue) {
  GRPO_CHECK(sampling.max_new_tokens >= 1, "max_new_tokens ", sampling.max_new_tokens);
  State& state = *state_;
  state.stats = {};
  if (requests.empty()) return {};
  const at::NoGradGuard no_grad;
  const Demand demand = demand_of(requests, queue, sampling, state.model.config().vocab_size);
  const int64_t pages = state.prepare_cache(demand);
  ModelRunner& runner = state.prepare_runner(demand);
  const int64_t recorded_before = runner.num_recorded();
  Generation generation(runner, *state.cache, state.steps_ahead(),
                        {.max_sequences = state.config.max_sequences,
                         .page_size = state.config.page_size,
                         .num_pages = pages,
                         .prefill_tokens = kPrefillTokens,
                         .idle_share = state.idle_share()},
                        requests, queue, sampling, key);
  auto groups = generation.run(on_group, should_stop);
  state.stats = generation.stats();
  state.stats.recorded = runner.num_recorded() - recorded_before;
  return groups;
}

const EngineStats& Engine::stats() const { return state_->stats; }

}  // namespace grpo::rollout
