#include "grpo/rollout/engine.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/kernels/cuda.h"
#include "grpo/rollout/non_finite.h"
#include "rollout/kv_cache.h"
#include "rollout/model_runner.h"
#include "rollout/scheduler.h"

namespace grpo::rollout {
namespace {

constexpr int64_t kPrefillTokens = 4096;
// Graphs are made for sequences of the next multiple of this many tokens. So calls whose sequences grow slowly do not
// make the graphs again each time.
constexpr int64_t kTokensStep = 1024;

Demand most_of(const Demand& a, const Demand& b) {
  return {.longest = std::max(a.longest, b.longest), .sequences = std::max(a.sequences, b.sequences)};
}

int64_t longest_of(const Request& request, const GenerationOptions& options) {
  return static_cast<int64_t>(request.prompt_ids.size()) + options.max_new_tokens;
}

// The gigabytes in words, rounded up: what is read back from them holds the bytes.
std::string enough_gb(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", (std::floor(bytes / 1e6) + 1.0) / 1e3);
  return text;
}

Demand demand_of(const std::vector<Request>& requests, const GenerationOptions& options) {
  Demand demand;
  for (const Request& request : requests) {
    demand.longest = std::max(demand.longest, longest_of(request, options));
    demand.sequences += request.num_samples;
  }
  return demand;
}

}  // namespace

int64_t auto_max_sequences(bool cuda) { return cuda ? 512 : 256; }

double auto_kv_memory_gb(double device_gb, double weights_gb, double beside_gb) {
  if (device_gb == 0.0) return 4.0;
  return std::max(0.9 * device_gb - weights_gb - beside_gb, 0.0);
}

std::string to_string(FinishReason reason) { return reason == FinishReason::kStop ? "stop" : "length"; }

// Carries out what the scheduler decides. The host may be some steps ahead of the tokens that have come back from the
// device. It then sees a stop token late, and drops the tokens that were drawn after it.
struct Session::State {
  using Sequences = std::vector<std::shared_ptr<Sequence>>;

  struct Step {
    DrawnTokens tokens;
    Sequences sequences;  // one per token
  };

  struct Progress {
    Request request;
    Group group;
    int64_t unfinished = 0;  // samples that are not finished
  };

  ModelRunner& runner;
  KvCache& cache;
  const size_t steps_ahead;
  const int64_t vocab_size;
  const Demand demand;
  const GenerationOptions options;
  const base::RandomKey key;
  EngineStats& last_stats;  // belongs to the engine
  bool& busy;               // belongs to the engine
  Scheduler scheduler;
  int64_t recorded_before = runner.num_recorded();
  std::deque<Step> steps = {};         // on their way from the device, the oldest first
  std::deque<Progress> requests = {};  // by number
  std::vector<Group> whole = {};
  size_t open = 0;
  std::unordered_map<size_t, at::Tensor> prompt_logits = {};  // [1, V] of a cached prompt's last token, by request
  std::vector<Row> rows = {};                                 // of the pass that draws now
  Sequences free_list = {};                                   // memory for the sequences of a step
  EngineStats counted = {};

  void add(Request request) {
    check(request);
    const size_t number = requests.size();
    const int64_t samples = request.num_samples;
    Group group{.request = number, .completions = std::vector<Completion>(static_cast<size_t>(samples))};
    requests.push_back({.request = std::move(request), .group = std::move(group), .unfinished = samples});
    ++open;
    scheduler.add(number, requests.back().request);
    if (samples == 0) finish(requests.back());
  }

  void check(const Request& request) const {
    GRPO_CHECK(!request.prompt_ids.empty() && request.num_samples >= 0, "a request of ", request.prompt_ids.size(),
               " prompt ids and ", request.num_samples, " samples");
    for (const int64_t id : request.prompt_ids)
      GRPO_CHECK(id >= 0 && id < vocab_size, "prompt id ", id, " of a vocabulary of ", vocab_size);
    GRPO_CHECK(longest_of(request, options) <= demand.longest, "a request of up to ", longest_of(request, options),
               " tokens in a session for ", demand.longest);
  }

  void finish(Progress& progress) {
    --open;
    whole.push_back(std::move(progress.group));
  }

  bool advance() {
    if (scheduler.done()) {
      collect(0);
      return false;
    }
    recompute();
    do {
      start_samples();
    } while (prefill());
    decode();
    return true;
  }

  // Computes the keys and values of sequences that come back after a preemption. Their next token is drawn
  // by the decode step that follows.
  void recompute() {
    const size_t count = scheduler.resume();
    auto& running = scheduler.running();
    for (size_t i = running.size() - count; i < running.size(); ++i) {
      const Sequence& sequence = *running[i];
      std::vector<int64_t> tokens = requests[sequence.request].request.prompt_ids;
      tokens.insert(tokens.end(), sequence.completion.ids.begin(), sequence.completion.ids.end() - 1);
      runner.extend({{.ids = tokens.data(), .count = sequence.cached, .cached = 0, .pages = &sequence.pages}});
      runner.set_last_token(sequence.slot, sequence.completion.ids.back());
    }
  }

  // Prefills the prompts that the scheduler admits now. Returns false if there are none.
  bool prefill() {
    const auto prompts = scheduler.admit();
    if (prompts.empty()) return false;
    std::vector<NewTokens> sequences;
    for (const WaitingPrompt* prompt : prompts) {
      const auto& ids = requests[prompt->request].request.prompt_ids;
      sequences.push_back({.ids = ids.data(), .count = prompt->tokens, .cached = 0, .pages = &prompt->pages});
      counted.prompt_tokens += prompt->tokens;
    }
    const auto logits = runner.last_logits(sequences);
    for (size_t i = 0; i < prompts.size(); ++i)
      prompt_logits[prompts[i]->request] = logits.narrow(0, static_cast<int64_t>(i), 1);
    return true;
  }

  // Draws the first token of every sample that starts now.
  void start_samples() {
    std::vector<PageCopy> copies;
    const size_t count = scheduler.start_samples(copies);
    if (count == 0) return;
    cache.copy_pages(copies);
    const auto& running = scheduler.running();
    const Sequences started(running.end() - static_cast<int64_t>(count), running.end());
    for (auto first = started.begin(); first != started.end();) {
      const size_t request = (*first)->request;
      const auto end = std::find_if(first, started.end(), [&](const auto& s) { return s->request != request; });
      const Sequences samples(first, end);
      const auto logits = prompt_logits.at(request).expand({static_cast<int64_t>(samples.size()), -1});
      add({runner.draw(logits, rows_of(samples)), samples});
      if (!scheduler.prompt_in_cache(request)) prompt_logits.erase(request);
      first = end;
    }
    collect(steps_ahead);
  }

  void decode() {
    // A sequence that gives up its pages is later computed again from its tokens, so all of
    // them must have come back by then.
    if (!scheduler.has_room()) collect(0);
    scheduler.make_room();
    const Sequences& running = scheduler.running();
    if (running.empty()) return;
    Sequences decoded = std::exchange(free_list, {});
    decoded.assign(running.begin(), running.end());
    add({runner.decode(rows_of(running)), std::move(decoded)});
    for (const auto& sequence : running) ++sequence->cached;
    ++counted.decode_steps;
    collect(steps_ahead);
  }

  const std::vector<Row>& rows_of(const Sequences& sequences) {
    rows.clear();
    for (const auto& sequence : sequences) {
      const Request& request = requests[sequence->request].request;
      const auto sample = static_cast<uint32_t>(request.first_sample + sequence->sample);
      rows.push_back({.slot = sequence->slot,
                      .cached = sequence->cached,
                      .pages = &sequence->pages,
                      .params = {.temperature = request.greedy ? 0.0 : options.sampling.temperature,
                                 .top_k = options.sampling.top_k,
                                 .top_p = options.sampling.top_p,
                                 .uniform = base::uniform(request.key.value_or(key), request.draw, sample,
                                                          static_cast<uint32_t>(sequence->drawn))}});
    }
    return rows;
  }

  void add(Step step) {
    for (const auto& sequence : step.sequences) ++sequence->drawn;
    steps.push_back(std::move(step));
  }

  // Takes tokens from the device until at most `left` steps are still on their way. Finished
  // sequences leave the scheduler.
  void collect(size_t left) {
    for (; steps.size() > left; steps.pop_front()) {
      Step& step = steps.front();
      step.tokens.wait();
      for (size_t i = 0; i < step.sequences.size(); ++i)
        append(*step.sequences[i], step.tokens.ids()[i], step.tokens.log_probs()[i]);
      free_list = std::move(step.sequences);
      free_list.clear();
    }
    scheduler.retire(
        [this](const Sequence& sequence) { return sequence.ended || sequence.drawn == options.max_new_tokens; });
  }

  void append(Sequence& sequence, int64_t id, float log_prob) {
    if (sequence.ended) return;
    if (std::isnan(log_prob)) {
      const Request& request = requests[sequence.request].request;
      throw NonFiniteLogits(base::concat(
          "sampling: the logits of draw ", request.draw, ", sample ", request.first_sample + sequence.sample,
          ", token ", sequence.completion.ids.size(), " are NaN or all infinite; the weights may have diverged"));
    }
    Completion& completion = sequence.completion;
    completion.ids.push_back(id);
    completion.log_probs.push_back(log_prob);
    ++counted.completion_tokens;
    const bool stopped = is_stop(id);
    sequence.ended = stopped || static_cast<int64_t>(completion.ids.size()) == options.max_new_tokens;
    if (!sequence.ended) return;
    completion.finish_reason = stopped ? FinishReason::kStop : FinishReason::kLength;
    Progress& progress = requests[sequence.request];
    progress.group.completions[static_cast<size_t>(sequence.sample)] = std::move(completion);
    if (--progress.unfinished == 0) finish(progress);
  }

  bool is_stop(int64_t id) const {
    return !options.ignore_eos &&
           std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end();
  }

  EngineStats stats() const {
    EngineStats stats = counted;
    stats.preempted = scheduler.num_preempted();
    stats.graphs_recorded = runner.num_recorded() - recorded_before;
    return stats;
  }
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) { state_->busy = true; }

Session::~Session() {
  state_->runner.release_places();
  state_->last_stats = state_->stats();
  state_->busy = false;
}

size_t Session::submit(Request request) {
  state_->add(std::move(request));
  return state_->requests.size() - 1;
}

bool Session::advance() {
  const at::NoGradGuard no_grad;
  return state_->advance();
}

std::vector<Group> Session::take() { return std::exchange(state_->whole, {}); }
size_t Session::open() const { return state_->open; }
EngineStats Session::stats() const { return state_->stats(); }

struct Engine::State {
  const models::CausalLM& model;
  EngineOptions options;
  std::optional<KvCache> cache;
  std::optional<ModelRunner> runner;
  std::vector<const void*> weights;  // addresses of the weights when the runner was made
  EngineStats stats;
  bool busy = false;  // whether a session exists

  int64_t pages_for(int64_t tokens) const { return (tokens + options.page_size - 1) / options.page_size; }

  double idle_share() const { return options.idle_share.value.value_or(model.device().is_cuda() ? 1.0 / 32.0 : 0.0); }

  int64_t steps_ahead() const { return options.steps_ahead.value.value_or(model.device().is_cuda() ? 2 : 0); }

  double kv_memory_gb() const {
    if (options.kv_memory_gb.value) return *options.kv_memory_gb.value;
    double weights = 0.0;
    for (const auto* tensors : {&model.parameters(), &model.adapters()}) {
      for (const auto& [name, tensor] : *tensors) weights += static_cast<double>(tensor.nbytes());
    }
    const double device = model.device().is_cuda() ? kernels::cuda_memory_bytes(model.device().index()) : 0.0;
    return auto_kv_memory_gb(device / 1e9, weights / 1e9, options.beside_gb);
  }

  int64_t pages_wanted(const Demand& demand) const {
    if (options.num_pages.value) return *options.num_pages.value;
    // Room for one sequence more than run together, because a prompt stays in the cache while its samples start.
    const int64_t all = pages_for(demand.longest) * (std::min(options.max_sequences, demand.sequences) + 1) + 1;
    const double bound = kv_memory_gb() * 1e9 / static_cast<double>(KvCache::page_bytes(model, options.page_size));
    return bound >= static_cast<double>(all) ? all : std::max<int64_t>(static_cast<int64_t>(bound), 1);
  }

  // Makes sure that there is a cache for the call and returns how many of its pages the call may use. The cache is kept
  // from call to call and replaced when a call wants a larger one.
  int64_t prepare_cache(const Demand& demand) {
    const int64_t pages = pages_wanted(most_of(demand, options.expected));
    // The longest sequence must fit, with one more page for when it starts or comes back after a preemption.
    const int64_t least = pages_for(demand.longest) + 1;
    if (pages < least) {
      const double bytes =
          static_cast<double>(least) * static_cast<double>(KvCache::page_bytes(model, options.page_size));
      throw base::ConfigError(base::concat("the KV cache has ", pages, " pages of ", options.page_size,
                                           " tokens, but one sequence of ", demand.longest, " tokens needs ", least,
                                           "; lower max_new_tokens, or raise a run's rollout.kv_memory_gb to at least ",
                                           enough_gb(bytes)));
    }
    if (!cache || cache->num_pages() < pages) {
      runner.reset();
      cache.reset();  // free the old memory first, since there may be no room for both
      cache.emplace(model, pages, options.page_size);
    }
    return pages;
  }

  // Makes the runner again if weights or cache have moved, because its graphs contain their addresses.
  ModelRunner& prepare_runner(const Demand& demand) {
    std::vector<const void*> places;
    for (const auto* tensors : {&model.parameters(), &model.adapters()}) {
      for (const auto& [name, tensor] : *tensors) places.push_back(tensor.const_data_ptr());
    }
    const int64_t longest = most_of(demand, options.expected).longest;
    const bool fits = runner && runner->options().max_tokens >= longest && places == weights;
    if (fits) return *runner;
    weights = std::move(places);
    const bool graphs = options.graphs.value.value_or(model.device().is_cuda());
    return runner.emplace(model, *cache,
                          ModelRunner::Options{.max_sequences = options.max_sequences,
                                               .max_tokens = (longest + kTokensStep - 1) / kTokensStep * kTokensStep,
                                               .exact = options.exact,
                                               .padded = graphs || model.device().is_cuda(),
                                               .decode_kernel = options.decode_kernel,
                                               .graphs = graphs});
  }
};

Engine::Engine(const models::CausalLM& model, const EngineOptions& options)
    : state_(new State{
          .model = model, .options = options, .cache = {}, .runner = {}, .weights = {}, .stats = {}, .busy = false}) {
  GRPO_CHECK(options.page_size >= 1 && options.max_sequences >= 1, "page_size ", options.page_size, ", max_sequences ",
             options.max_sequences);
}

Engine::~Engine() = default;

std::unique_ptr<Session> Engine::begin(const Demand& demand, const GenerationOptions& options,
                                       const base::RandomKey& key) {
  GRPO_CHECK(options.max_new_tokens >= 1, "max_new_tokens ", options.max_new_tokens);
  State& state = *state_;
  GRPO_CHECK(!state.busy, "the engine's last session is still there");
  const int64_t pages = state.prepare_cache(demand);
  ModelRunner& runner = state.prepare_runner(demand);
  const Scheduler::Limits limits{.max_sequences = state.options.max_sequences,
                                 .page_size = state.options.page_size,
                                 .num_pages = pages,
                                 .prefill_tokens = kPrefillTokens,
                                 .idle_share = state.idle_share()};
  std::unique_ptr<Session::State> begun(new Session::State{.runner = runner,
                                                           .cache = *state.cache,
                                                           .steps_ahead = static_cast<size_t>(state.steps_ahead()),
                                                           .vocab_size = state.model.config().vocab_size,
                                                           .demand = demand,
                                                           .options = options,
                                                           .key = key,
                                                           .last_stats = state.stats,
                                                           .busy = state.busy,
                                                           .scheduler = Scheduler(limits)});
  return std::unique_ptr<Session>(new Session(std::move(begun)));
}

std::vector<Group> Engine::generate(const std::vector<Request>& requests, const GenerationOptions& options,
                                    const base::RandomKey& key, const std::function<void(const Group&)>& on_group,
                                    const std::function<bool()>& should_stop) {
  state_->stats = {};
  if (requests.empty()) return {};
  const auto session = begin(demand_of(requests, options), options, key);
  for (const Request& request : requests) session->submit(request);
  std::vector<Group> groups(requests.size());
  for (bool more = true; more;) {
    if (session->open() > 0 && should_stop && should_stop()) return {};
    more = session->advance();
    for (Group& group : session->take()) {
      groups[group.request] = std::move(group);
      if (on_group) on_group(groups[group.request]);
    }
  }
  return groups;
}

const EngineStats& Engine::stats() const { return state_->stats; }

}  // namespace grpo::rollout
