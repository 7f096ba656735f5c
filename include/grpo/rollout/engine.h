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

/// What a call of an engine asks for.
struct Demand {
  int64_t longest = 1;    // tokens of the longest sequence, prompt and completion
  int64_t sequences = 0;  // in all
};

struct EngineOptions {
  int64_t page_size = 16;           // tokens per KV page
  int64_t max_sequences = 256;      // sequences decoded together; see auto_max_sequences()
  base::Auto<int64_t> num_pages;    // auto: enough for max_sequences of the longest request (bounded by kv_memory_gb)
  base::Auto<double> kv_memory_gb;  // bound for that; auto: auto_kv_memory_gb()
  double beside_gb = 0.0;           // of a GPU's memory, what others need while the cache lies there
  bool exact = false;               // a completion does not depend on its batch, bit for bit; on the CPU in fp32 only
  base::Auto<int64_t>
      steps_ahead;          // decode steps the host gives the device before it reads tokens; auto: 2 on CUDA, else 0
  base::Auto<bool> graphs;  // decode steps are recorded and replayed; auto: on CUDA
  base::Auto<double>
      idle_share;  // free slots for each running sequence at which prompts enter; auto: 1/32 on CUDA, else 0
  kernels::DecodeKernel decode_kernel = kernels::DecodeKernel::kAuto;
  Demand expected;  // the most that any call will ask for, as far as it is known: a call that asks for more than all
                    // before it makes cache and graphs anew
};

/// What the completions of a call or a session have in common.
struct GenerationOptions {
  SamplingConfig sampling = {};
  int64_t max_new_tokens = 256;
  std::vector<int64_t> stop_ids = {};
  bool ignore_eos = false;  // stop_ids are then sampled like any token
};

/// One prompt and how many completions to sample for it.
struct Request {
  std::vector<int64_t> prompt_ids;  // at least one
  uint64_t draw = 0;                // the prompt's ordinal in the run: with sample and position the random key
  int64_t first_sample = 0;         // number of the first completion (extending a group starts above 0)
  int64_t num_samples = 1;
  std::optional<base::RandomKey> key =
      {};               // its own random stream instead of the call's (several data sets in one call)
  bool greedy = false;  // temperature 0 instead of the call's
};

enum class FinishReason { kStop, kLength };
std::string to_string(FinishReason reason);  // "stop", "length"

struct Completion {
  std::vector<int64_t> ids;      // includes the stop token
  std::vector<float> log_probs;  // one per id: log_softmax(logits / temperature) before top-k/top-p
  FinishReason finish_reason = FinishReason::kLength;
};

/// One request's completions, in sample order.
struct Group {
  size_t request = 0;  // its number: the index into the requests, or what Session::submit returned
  std::vector<Completion> completions;
};

struct EngineStats {
  int64_t prompt_tokens = 0;  // prefilled; a group's prompt once
  int64_t completion_tokens = 0;
  int64_t decode_steps = 0;
  int64_t preempted = 0;  // sequences that gave up their pages and were recomputed
  int64_t recorded = 0;   // decode steps that became graphs
};

/// Sequences decoded together where nobody says. On a GPU decoding is bound by reading the weights until there are
/// hundreds.
int64_t auto_max_sequences(bool cuda);

/// What the KV cache may take where nobody says: 4 GB on the CPU (device_gb 0); of a GPU nine tenths less the weights
/// and what lies beside the cache.
double auto_kv_memory_gb(double device_gb, double weights_gb, double beside_gb);

/// A rollout under way: requests join whenever they are submitted, and groups are taken as they become whole. Order and
/// random numbers are keyed by draw, sample and position, so what a request gives does not depend on when it joined
/// (bit for bit with EngineOptions::exact). The engine that began it outlives it.
class Session {
 public:
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Returns the request's number: 0, 1, ... in the order of submission. REQUIRES: it is no longer than the session's
  /// demand.
  size_t submit(Request request);
  /// Gives waiting requests room, prefills them, and decodes one step. False when there was nothing left to decode; all
  /// that was submitted is whole then.
  bool advance();
  /// The groups that have become whole since the last call, in that order.
  std::vector<Group> take();

  /// Requests that are not whole yet.
  size_t open() const;
  EngineStats stats() const;

 private:
  friend class Engine;
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Continuous batching over a paged KV cache: a finished sequence's slot is refilled at once, a group's prompt is
/// prefilled once and its pages are shared. Knows ids only, no text.
class Engine {
 public:
  Engine(const models::CausalLM& model, const EngineOptions& options);
  ~Engine();

  /// A session for requests of this demand; one at a time. REQUIRES: the one before is gone.
  std::unique_ptr<Session> begin(const Demand& demand, const GenerationOptions& options, const base::RandomKey& key);

  /// Samples every request; groups come back in request order. on_group, when given, is called on this thread as soon
  /// as a group is complete (in completion order) so that verifying can start while others still decode; should_stop,
  /// when given, is asked between decode steps and ends the call early with an empty result when true.
  std::vector<Group> generate(const std::vector<Request>& requests, const GenerationOptions& options,
                              const base::RandomKey& key, const std::function<void(const Group&)>& on_group = {},
                              const std::function<bool()>& should_stop = {});

  const EngineStats& stats() const;  // of the last session

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::rollout
