#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "grpo/kernels/download.h"
#include "grpo/kernels/graph.h"
#include "grpo/kernels/sample.h"
#include "grpo/kernels/upload.h"
#include "grpo/models/causal_lm.h"
#include "rollout/forward_batch.h"
#include "rollout/kv_cache.h"

namespace grpo::rollout {

/// One running sequence in a pass that draws its next token.
struct Row {
  int64_t slot = 0;
  int64_t cached = 0;  // tokens in the cache
  const std::vector<int32_t>* pages = nullptr;
  kernels::SampleParams params;
};

/// The tokens that a pass has drawn, one per row, on their way from the device.
class DrawnTokens {
 public:
  DrawnTokens(const kernels::Sampled& sampled, int64_t rows);

  /// Waits for the device; ids() and log_probs() may be read afterwards.
  void wait();
  const int64_t* ids() const { return here_.ids.const_data_ptr<int64_t>(); }
  const float* log_probs() const { return here_.log_probs.const_data_ptr<float>(); }

 private:
  kernels::Sampled here_;
  std::optional<kernels::Download> coming_;  // ids, log-probs of a device
};

/// What drawing tokens needs besides the logits, as tensors on the host.
struct HostDraws {
  at::Tensor slots;  // [rows] int64
  kernels::SampleRows rows;

  /// Overwrites the tensors, and makes new ones only where the number of rows is another.
  void set(const std::vector<Row>& drawn);

 private:
  std::vector<kernels::SampleParams> params_;
};

/// Runs the model on its device for a batch of sequences. The last token of every running sequence stays on the device,
/// in the sequence's slot, so a step can be launched before the tokens of the step before it have come back.
class ModelRunner {
 public:
  struct Options {
    int64_t max_sequences = 0;  // number of slots
    int64_t max_tokens = 0;     // of a single sequence
    bool exact = false;
    // Decode batches are filled up to one of graph_sizes(), so that the same kernels run with and without graphs.
    bool padded = false;
    kernels::DecodeKernel decode_kernel = kernels::DecodeKernel::kAuto;
    bool graphs = false;  // decode passes are captured and replayed; REQUIRES: padded
  };

  ModelRunner(const models::CausalLM& model, KvCache& cache, const Options& options);

  const Options& options() const { return options_; }
  int64_t num_recorded() const { return num_recorded_; }  // number of graphs made so far

  /// Computes keys and values of whole sequences.
  void extend(const std::vector<NewTokens>& sequences) { last_hidden(sequences); }

  /// Like extend, and returns the logits after each sequence's last token, [sequences, vocab].
  at::Tensor last_logits(const std::vector<NewTokens>& sequences) {
    return model_.logits(last_hidden(sequences), options_.exact);
  }

  /// Draws a token for each row from its logits, [rows, vocab].
  DrawnTokens draw(const at::Tensor& logits, const std::vector<Row>& rows);

  /// Feeds each row's last token to the model and draws the next one.
  DrawnTokens decode(const std::vector<Row>& rows);

  /// Frees what decode steps keep from one to the next.
  void release_places() { places_ = {}; }

  /// Sets the last token of a slot, for a sequence whose slot was given away in the meantime.
  void set_last_token(int64_t slot, int64_t id);

 private:
  // The inputs of a decode pass, on the device.
  struct DecodeInputs {
    models::PagedBatch batch;  // without ids, which are in last_ids_
    at::Tensor slots;          // [rows] int64
    kernels::SampleRows params;
  };
  // What all decode passes with the same number of rows share: the memory of their inputs and results, and the
  // graph that was captured with it.
  struct Bucket {
    Bucket(const kernels::AttentionShape& shape, at::Device device, int64_t most_pages)
        : planner(kernels::plan_attention(shape, device, most_pages)), upload(device, /*in_place=*/true) {}
    std::unique_ptr<kernels::AttentionPlanner> planner;
    kernels::Upload upload;
    kernels::Sampled sampled;
    std::unique_ptr<kernels::Graph> graph;
    std::vector<int64_t> launch;  // AttentionSchedule::launch when the graph was captured
    bool warm = false;
  };

  kernels::AttentionShape attention_shape(const KvCache& cache) const;
  at::Tensor last_hidden(const std::vector<NewTokens>& sequences);
  DecodeInputs load(const std::vector<Row>& rows, kernels::AttentionPlanner& planner, kernels::Upload& upload);
  kernels::Sampled step(const DecodeInputs& inputs);
  kernels::Sampled run_padded(std::vector<Row> rows);
  at::Tensor last_of(const at::Tensor& slots);                     // [rows] int64
  void keep_last(const at::Tensor& slots, const at::Tensor& ids);  // ids: [rows] int64

  const models::CausalLM& model_;
  KvCache& cache_;
  const Options options_;
  const std::pair<at::Tensor, at::Tensor> rotations_;
  const std::vector<int32_t> spare_pages_;
  at::Tensor last_ids_;  // [max_sequences + 1] int64; rows that only fill up a batch use the last one
  std::unique_ptr<kernels::AttentionPlanner> planner_;
  // Memory that decode steps use again and again.
  kernels::Upload upload_;
  std::vector<NewTokens> sequences_;
  ForwardBatch host_batch_;
  HostDraws host_draws_;
  at::Tensor ids_;  // [rows] int64, on the CPU
  models::SamplingPlaces places_;
  std::map<int64_t, Bucket> buckets_;  // by number of rows
  int64_t num_recorded_ = 0;
};

}  // namespace grpo::rollout
