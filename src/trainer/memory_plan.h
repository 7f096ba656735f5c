#pragma once

#include <string>
#include <utility>
#include <vector>

#include "grpo/models/causal_lm.h"
#include "grpo/models/model_config.h"
#include "grpo/optim/adamw.h"
#include "grpo/trainer/train_config.h"

namespace grpo::trainer {

/// One part of a rank's memory, in bytes, and when it is held.
struct MemoryPart {
  enum class When { kAlways, kRollout, kUpdate };
  std::string name;
  double bytes = 0.0;
  When when = When::kAlways;
};

/// What one rank holds at most: parameters n, working dtype of b bytes, R ranks.
///   weights n b; fp32 masters 4 n (none for fp32 weights) and moments 8 n, / R when split
///   rollout: the sampler's prepacked copy n b (CPU only), KV pages, logits of the running sequences
///   update: fp32 gradient sums 4 n (/ R with zero2), gradients of a backward pass n b, saved activations of
///           trainer.micro_batch_tokens tokens, the LM head's chunk
/// docs/benchmarks/cpu.md holds it against measured peaks.
struct MemoryPlan {
  models::Checkpointing checkpointing = models::Checkpointing::kNone;  // trainer.activation_checkpointing; auto: the least that fits
  std::vector<MemoryPart> parts;
  bool together = false;  // trainer.stream_update: rollout and update at once
  double rollout_peak() const;
  double update_peak() const;
  double peak() const;
  double beside_kv_gb() const;  // of the peak, all but weights and KV cache
};

/// Where a run would go.
struct PlanTarget {
  int64_t ranks = 1;
  bool cuda = false;
  double memory_bytes = 0.0;  // of the GPU, or what the process may use; 0: unknown, without bound
};

MemoryPlan plan_memory(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes, const PlanTarget& target);

/// What the ranks split: auto is zero1 with several ranks.
optim::StateSharding state_sharding(const dist::DistributedConfig& config, int64_t ranks);

}  // namespace grpo::trainer
