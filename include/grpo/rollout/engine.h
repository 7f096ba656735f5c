#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grpo/base/fields.h"
#include "grpo/base/random.h"
#include "grpo/kernels/paged_kv.h"
#include "grpo/models/causal_lm.h"
#include "grpo/rollout/sampling_config.h"

namespace grpo::rollout {

/// The size of what a call or a session asks for.
struct Demand {
  int64_t longest = 1;    // tokens of the longest sequence: prompt and completion
  int64_t sequences = 0;  // number of all completions together
};

struct EngineOptions {
  int64_t page_size = 16;           // tokens per KV page
  int64_t max_sequences = 256;      // sequences decoded together; see auto_max_sequences()
  base::Auto<int64_t> num_pages;    // auto: enough for max_sequences of the longest, if kv_memory_gb allows
  base::Auto<double> kv_memory_gb;  // bound on the cache if num_pages is auto; auto: auto_kv_memory_gb()
  double beside_gb = 0.0;           // memory of a GPU that others need while the cache exists
  bool exact = false;               // bit for bit, a completion does not depend on its batch; on the CPU in fp32 only
  // Decode steps that the host may launch before it reads their tokens; auto: 2 on CUDA, else 0.
  base::Auto<int64_t> steps_ahead;
  base::Auto<bool> graphs;  // decode steps are captured into CUDA graphs and replayed; auto: on CUDA
  // Once all slots were taken, new prompts wait until more than this many slots per running sequence are free;
  // auto: 1/32 on CUDA, else 0.
  base::Auto<double> idle_share;
  kernels::DecodeKernel decode_kernel = kernels::DecodeKernel::kAuto;
  // The most that any call will ask for, as far as it is known. A call that asks for more than all calls before it
  // makes the cache and the graphs again.
  Demand expected;
};

/// What all completions of a call or a session have in common.
struct GenerationOptions {
  SamplingConfig sampling = {};
  int64_t max_new_tokens = 256;
  std::vector<int64_t> stop_ids = {};
  bool ignore_eos = false;  // stop_ids are sampled like any token and do not end a completion
};

/// One prompt and the number of completions to sample for it.
struct Request {
  std::vector<int64_t> prompt_ids;  // at least one id
  uint64_t draw = 0;                // the prompt's ordinal in the run; part of the random key, with sample and position
  int64_t first_sample = 0;         // number of the first completion; above 0 when a group is extended
  int64_t num_samples = 1;
  // A random stream for this request instead of the call's, so that one call can serve several data sets.
  std::optional<base::RandomKey> key = {};
  bool greedy = false;  // temperature 0, whatever the call's is
};

enum class FinishReason { kStop, kLength };
std::string to_string(FinishReason reason);  // "stop", "length"

struct Completion {
  std::vector<int64_t> ids;      // includes the stop token
  std::vector<float> log_probs;  // one per id: log_softmax(logits / temperature) before top-k and top-p
  FinishReason finish_reason = FinishReason::kLength;
};

/// The completions of one request, in sample order.
struct Group {
  size_t request = 0;  // index of the request in a call, or the number that Session::submit returned
  std::vector<Completion> completions;
};

struct EngineStats {
  int64_t prompt_tokens = 0;  // prefilled tokens: each request's prompt, again where it had to give up its pages
  int64_t completion_tokens = 0;
  int64_t decode_steps = 0;
  int64_t preempted = 0;        // how often a sequence gave up its pages and was computed again
  int64_t graphs_recorded = 0;  // decode steps that were captured into graphs
};

/// The default of EngineOptions::max_sequences. On a GPU the time of a decode step is that of reading the weights,
/// until hundreds of sequences are decoded together.
int64_t auto_max_sequences(bool cuda);

/// The default of the KV cache's bound: 4 GB on the CPU (device_gb = 0); on a GPU nine tenths of its memory less the
/// weights and what else lies there (beside_gb).
double auto_kv_memory_gb(double device_gb, double weights_gb, double beside_gb);

/// A rollout under way. Requests join whenever they are submitted, and groups are taken as they become complete. Random
/// numbers are keyed by draw, sample and position, so a completion does not depend on when its request joined (bit for
/// bit with EngineOptions::exact). The engine must outlive the session.
class Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Adds a request and returns its number: 0, 1, ... in the order of submission. REQUIRES: prompt and max_new_tokens
  /// together are at most Demand::longest.
  size_t submit(Request request);
  /// Starts waiting requests if there is room, prefills them, and decodes one step. Returns false if nothing was left
  /// to decode; then all submitted requests are complete. Throws NonFiniteLogits (non_finite.h).
  bool advance();
  /// The groups that have become complete since the last call, in the order in which they did.
  std::vector<Group> take();

  /// Number of requests that are not complete yet.
  size_t open() const;
  EngineStats stats() const;

 private:
  friend class Engine;
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Continuous batching over a paged KV cache: the slot of a finished sequence is refilled at once, and a group's prompt
/// is prefilled once and its pages are shared. The engine knows ids but no text.
class Engine {
 public:
  Engine(const models::CausalLM& model, const EngineOptions& options);
  ~Engine();

  /// Begins a session for requests within `demand`. REQUIRES: the session before it is destroyed.
  std::unique_ptr<Session> begin(const Demand& demand, const GenerationOptions& options, const base::RandomKey& key);

  /// Samples every request and returns the groups in request order. If given, on_group is called on this thread as soon
  /// as a group is complete, so that rewards can be computed while other groups are still decoded. If given,
  /// should_stop is asked between decode steps; when it returns true the call ends with an empty result.
  std::vector<Group> generate(const std::vector<Request>& requests, const GenerationOptions& options,
                              const base::RandomKey& key, const std::function<void(const Group&)>& on_group = {},
                              const std::function<bool()>& should_stop = {});

  const EngineStats& stats() const;  // of the last session

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::rollout
