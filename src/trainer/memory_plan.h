#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/models/freeze.h"
#include "grpo/models/model_config.h"
#include "grpo/optim/optimizer.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// One part of a rank's memory, in bytes, and when it is held.
struct MemoryPart {
  enum class When { kAlways, kRollout, kUpdate };
  std::string name;
  double bytes = 0.0;
  When when = When::kAlways;
};

/// What one rank holds at most, with n parameters, a working dtype of b bytes and R ranks:
/// - weights: n b. fp32 masters 4 n (none for fp32 weights without zero3) and moments 8 n (Muon: 4 of the layers'
/// parameters), divided by R when split, on the host when offloaded. With zero3 the weights are n b for sampling alone,
/// n b / R always, and in the update two layers and what is outside of layers.
/// - in the rollout: the sampler's prepacked copy n b (CPU only), KV pages, and the logits of the running sequences.
/// - in the update: fp32 gradient sums 4 n (divided by R with zero2 and zero3, beside which are then the gradients of a
/// layer and of what is outside), and the larger of a pass and the optimizer's step, which follow each other. A pass
/// holds the saved activations of a micro-batch, or the gradients n b that take their place layer after layer, and
/// beside them the larger of what the LM head needs (a chunk's logits, the weight's gradient in fp32) and what the
/// backward pass of one layer needs. The step holds the part of an offloaded state that is on the device at a time, and
/// what Muon needs for the largest matrix.
/// With adapters (model.lora) n is theirs in what the optimizer, gradients and ranks hold; the weights are there once,
/// also where a KL term compares with them.
/// - on a GPU: CUDA's context, libraries and graphs.
/// docs/benchmarks/cpu.md compares it with measured peaks.
struct MemoryPlan {
  models::Recompute recompute =
      models::Recompute::kNone;  // trainer.activation_checkpointing; auto: the least that fits
  int64_t micro_batch_tokens =
      0;  // trainer.micro_batch_tokens, or a part of it on a GPU where activations then need not be computed again
  optim::StateSharding sharding = optim::StateSharding::kNone;  // distributed.sharding; auto: the first that fits
  bool offload = false;     // trainer.offload_optimizer; auto: where nothing else fits, on a GPU
  double host_bytes = 0.0;  // beside a GPU: page-locked for the optimizer
  std::vector<MemoryPart> parts;
  bool together = false;  // trainer.stream_update: rollout and update at once
  double rollout_peak() const;
  double update_peak() const;
  double peak() const;
  double beside_kv_gb() const;  // of the peak, all but weights and KV cache
};

/// The ranks and the memory that a run is planned for.
struct PlanTarget {
  int64_t ranks = 1;
  bool cuda = false;
  double memory_bytes = 0.0;  // of the GPU, or what the process may use; 0: unknown, without bound
};

/// Tokens of the longest sequences that one pass must hold: a rollout is never split, and where whole groups are
/// compared neither is a group.
int64_t longest_together(const TrainConfig& config);

/// The value of rollout.max_sequences, also where it is left to the program.
int64_t decoded_together(const RolloutConfig& rollout, bool cuda);

MemoryPlan plan_memory(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes,
                       const PlanTarget& target);

/// Throws base::ConfigError where the weights alone are more than a rank has memory for: every rank samples with whole
/// weights.
void check_weights_fit(const models::ModelConfig& model, int64_t dtype_bytes, const PlanTarget& target);

/// The bytes that all ranks together send for an update (docs/distributed.md). passes: the number of micro-batches of
/// the rank that has most.
double update_bytes(const models::TrainedElements& trained, const MemoryPlan& plan,
                    const dist::DistributedConfig& config, optim::OptimizerKind optimizer, int64_t dtype_bytes,
                    int64_t ranks, int64_t passes);

}  // namespace grpo::trainer
