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

/// The most bytes that one rank holds, with n parameters, a working dtype of b bytes and R ranks:
/// - always: the weights, n b; fp32 masters, 4 n (none for fp32 weights, which are their own masters); moments, 8 n
/// (with Muon 4 for each parameter of the layers); the weights of a reference, n b; a critic's weights, masters and
/// moments; KV pages, which are kept from step to step; the program, or CUDA's context, libraries and graphs. Masters
/// and moments are divided by R where ranks split them, and are on the host where they are offloaded. With zero3 the
/// whole weights are there in the rollout only: always there is a shard of n b / R, and in the update also two layers
/// and what is outside of layers.
/// - in the rollout: the sampler's prepacked copy of the weights, n b (CPU only), and the logits of a decode step. An
/// evaluation counts as a rollout in which every slot is taken, and whose completions may be longer
/// (eval.max_new_tokens).
/// - in the update: fp32 gradient sums, 4 n (with zero2 and zero3 divided by R, and beside them the gradients of a
/// layer and of what is outside of layers), also those of a critic; and the larger of a pass and the optimizer's step,
/// which follow each other. A pass holds the saved activations of a micro-batch, or the gradients n b that take their
/// place layer after layer, and beside them the larger of what the LM head needs (a chunk's logits, the weight's
/// gradient in fp32) and what the backward pass of one layer needs; with several ranks also the gradients of two layers
/// that are on their way. The step holds the part of an offloaded state that is on the device at a time, and what Muon
/// needs for the largest matrix.
///
/// With adapters (model.lora) n is the number of their parameters in all that optimizer, gradients and ranks hold. The
/// model's weights are then there only once, even where a KL term compares with them. docs/benchmarks/cpu.md compares
/// the plan with measured peaks.
struct MemoryPlan {
  /// trainer.activation_checkpointing; auto: the least that fits.
  models::Recompute recompute = models::Recompute::kNone;
  /// trainer.micro_batch_tokens. On a GPU it can be a part of that, where it saves computing activations again.
  int64_t micro_batch_tokens = 0;
  optim::StateSharding sharding = optim::StateSharding::kNone;  // distributed.sharding; auto: the first that fits
  bool offload = false;     // trainer.offload_optimizer; auto: on a GPU, where nothing else fits
  double host_bytes = 0.0;  // what an offloaded state takes of the host's memory
  std::vector<MemoryPart> parts;
  bool together = false;  // trainer.stream_update: rollout and update hold their memory at the same time
  double rollout_peak() const;
  double update_peak() const;
  double peak() const;
  double beside_kv_gb() const;  // the peak without whole weights and KV cache, in GB
};

/// The ranks and the memory that a run is planned for.
struct PlanTarget {
  int64_t ranks = 1;
  bool cuda = false;
  double memory_bytes = 0.0;  // of the GPU, or what the process may use; 0: unknown, so that every plan fits
};

/// Tokens of the longest sequence of a step: prompt and completion.
int64_t longest_rollout(const TrainConfig& config);

/// Tokens of the longest sequence that is sampled, in a step or in an evaluation.
int64_t longest_decoded(const TrainConfig& config);

/// The most tokens that one pass may have to hold because they cannot be split: those of the longest rollout, or of a
/// whole group where groups are compared.
int64_t longest_together(const TrainConfig& config);

/// rollout.max_sequences, or what it is where it is left to the program: the sequences that are decoded at a time.
int64_t decoded_together(const RolloutConfig& rollout, bool cuda);

/// Makes every choice that is left to the program so that the plan fits; the first plan that fits is taken, and where
/// none does the last one that was tried. dtype_bytes: of the working weights. All ranks have to give the same target.
MemoryPlan plan_memory(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes,
                       const PlanTarget& target);

/// Throws base::ConfigError where the weights alone exceed a rank's memory. Sharding does not help, since every rank
/// samples with whole weights.
void check_weights_fit(const models::ModelConfig& model, int64_t dtype_bytes, const PlanTarget& target);

/// Bytes of this host's memory for one rank on its CPU, since the ranks of a host share it. hosts: each rank's, by
/// name.
double share_of_host_memory(const std::vector<std::string>& hosts, int64_t rank);

/// The bytes that all ranks together send for an update (docs/distributed.md). passes: the number of micro-batches of
/// the rank that has most.
double update_bytes(const models::TrainedElements& trained, const MemoryPlan& plan,
                    const dist::DistributedConfig& config, optim::OptimizerKind optimizer, int64_t dtype_bytes,
                    int64_t ranks, int64_t passes);

}  // namespace grpo::trainer
