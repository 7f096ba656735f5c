#include "trainer/memory_plan.h"

#include <algorithm>

#include "grpo/nn/lm_head.h"
#include "grpo/rollout/engine.h"

namespace grpo::trainer {
namespace {

using When = MemoryPart::When;

constexpr double kUsableShare = 0.92;  // of a device's or process's memory; the rest is the allocator's and the driver's
constexpr double kProgramBytes = 0.35e9;  // LibTorch, code and small buffers of a CPU process: resident size of a tiny run

double sum(const std::vector<MemoryPart>& parts, When phase) {
  double bytes = 0.0;
  for (const auto& part : parts) {
    if (part.when == When::kAlways || part.when == phase) bytes += part.bytes;
  }
  return bytes;
}

// Tensors that the backward pass of one layer needs, in elements a token (models/causal_lm.cpp, TrainingPass): its input
// and the middle of the residual stream, rotated queries and keys, values, attention's result, gate and up.
// Summed over layers.
double saved_elements_of_a_layer(const models::ModelConfig& model) {
  const double heads = static_cast<double>(model.num_heads * model.head_dim);
  const double kv_heads = static_cast<double>(model.num_kv_heads * model.head_dim);
  const double normed_heads = model.qk_norm ? heads + kv_heads : 0.0;
  return 2.0 * static_cast<double>(model.hidden_size) + 2.0 * heads + 2.0 * kv_heads + normed_heads + 2.0 * static_cast<double>(model.intermediate_size);
}

double saved_elements(const models::ModelConfig& model, models::Checkpointing checkpointing) {
  const auto layers = static_cast<double>(model.num_layers), hidden = static_cast<double>(model.hidden_size);
  const double whole = saved_elements_of_a_layer(model);
  switch (checkpointing) {
    case models::Checkpointing::kNone:
      return layers * whole;
    case models::Checkpointing::kSelective:
      return layers * (whole - 2.0 * static_cast<double>(model.intermediate_size));
    case models::Checkpointing::kFull:
      break;
  }
  return layers * hidden + whole;  // one layer is computed again at a time
}

// At full length in every slot.
double most_kv_bytes(const models::ModelConfig& model, const TrainConfig& config, double dtype_bytes) {
  const RolloutOptions& rollout = config.rollout;
  const auto pages = [&](int64_t tokens) { return static_cast<double>((tokens + rollout.page_size - 1) / rollout.page_size); };
  const double page = 2.0 * static_cast<double>(model.num_layers * model.num_kv_heads * model.head_dim * rollout.page_size) * dtype_bytes;
  int64_t longest = config.data.max_prompt_tokens + rollout.max_new_tokens;
  if (rollout.max_total_tokens) longest = std::min(longest, *rollout.max_total_tokens);
  // Evaluation fills every slot.
  const int64_t wanted = config.eval.every_steps > 0 ? rollout.max_sequences : rollout.prompts_per_step * rollout.group_size;
  return (pages(longest) * static_cast<double>(std::min(rollout.max_sequences, wanted) + 1) + 1.0) * page;
}

}  // namespace

double MemoryPlan::rollout_peak() const { return sum(parts, When::kRollout); }
double MemoryPlan::update_peak() const { return sum(parts, When::kUpdate); }
double MemoryPlan::beside_kv_gb() const {
  double bytes = peak();
  for (const auto& part : parts) bytes -= part.name == "weights" || part.name == "KV cache" ? part.bytes : 0.0;
  return bytes / 1e9;
}
double MemoryPlan::peak() const {
  if (!together) return std::max(rollout_peak(), update_peak());
  double all = 0.0;
  for (const auto& part : parts) all += part.bytes;
  return all;
}

optim::StateSharding state_sharding(const dist::DistributedConfig& config, int64_t ranks) {
  if (ranks == 1 || config.sharding == dist::Sharding::kNone) return optim::StateSharding::kNone;
  return config.sharding == dist::Sharding::kZero2 ? optim::StateSharding::kGradients : optim::StateSharding::kOptimizer;
}

namespace {

MemoryPlan plan_with(models::Checkpointing checkpointing, const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes,
                     const PlanTarget& target) {
  const auto n = static_cast<double>(model.num_parameters());
  const auto b = static_cast<double>(dtype_bytes);
  const auto vocabulary = static_cast<double>(model.vocab_size);
  const auto hidden = static_cast<double>(model.hidden_size);
  const auto sharding = state_sharding(config.distributed, target.ranks);
  const double state_share = sharding == optim::StateSharding::kNone ? 1.0 : static_cast<double>(target.ranks);
  const double sum_share = sharding == optim::StateSharding::kGradients ? static_cast<double>(target.ranks) : 1.0;
  const bool copies = dtype_bytes < 4;  // fp32 weights are their own masters, and .grad is their own sum
  const auto sequences = static_cast<double>(std::min(config.rollout.max_sequences, config.rollout.prompts_per_step * config.rollout.group_size));
  const auto chunk = static_cast<double>(nn::LmHeadOptions{}.chunk_tokens);

  MemoryPlan plan{.checkpointing = checkpointing, .parts = {}, .together = config.trainer.stream_update};
  plan.parts.push_back({"weights", n * b});
  plan.parts.push_back({copies ? "masters and moments" : "moments", (copies ? 12.0 : 8.0) * n / state_share});
  if (config.algorithm.kl.coef > 0.0) plan.parts.push_back({"reference weights", n * b});
  if (!target.cuda) plan.parts.push_back({"program", kProgramBytes});
  if (!target.cuda) plan.parts.push_back({"sampler's copy of the weights", n * b, When::kRollout});
  plan.parts.push_back({"logits of a decode step", sequences * vocabulary * (b + 4.0), When::kRollout});
  plan.parts.push_back({"gradient sums", 4.0 * n / sum_share, When::kUpdate});
  if (copies || sum_share > 1.0) plan.parts.push_back({"gradients of a backward pass", n * b, When::kUpdate});
  plan.parts.push_back({"saved activations", static_cast<double>(config.trainer.micro_batch_tokens) * saved_elements(model, checkpointing) * b, When::kUpdate});
  // Per chunk: log-probs and probabilities in fp32 beside the working dtype; the head's fp32 gradient, its sum over chunks,
  // and the embedding's.
  plan.parts.push_back({"LM head and embedding", chunk * vocabulary * (8.0 + b) + (8.0 + b) * vocabulary * hidden, When::kUpdate});
  const double device_gb = target.cuda ? target.memory_bytes / 1e9 : 0.0;
  const double bound = config.rollout.kv_memory_gb.value.value_or(rollout::auto_kv_memory_gb(device_gb, n * b / 1e9, plan.beside_kv_gb()));
  plan.parts.push_back({"KV cache", std::min(most_kv_bytes(model, config, b), bound * 1e9)});  // kept from step to step
  return plan;
}

// With a KV cache that is worth having: on a GPU it takes what the rest leaves.
bool fits(const MemoryPlan& plan, double most_kv, const PlanTarget& target) {
  if (target.memory_bytes == 0.0) return true;
  const double kv = plan.parts.back().bytes;
  return plan.peak() <= kUsableShare * target.memory_bytes && (!target.cuda || kv >= std::min(most_kv, 0.25 * target.memory_bytes));
}

}  // namespace

MemoryPlan plan_memory(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes, const PlanTarget& target) {
  using models::Checkpointing;
  switch (config.trainer.activation_checkpointing) {
    case ActivationCheckpointing::kNone:
      return plan_with(Checkpointing::kNone, model, config, dtype_bytes, target);
    case ActivationCheckpointing::kSelective:
      return plan_with(Checkpointing::kSelective, model, config, dtype_bytes, target);
    case ActivationCheckpointing::kFull:
      return plan_with(Checkpointing::kFull, model, config, dtype_bytes, target);
    case ActivationCheckpointing::kAuto:
      break;
  }
  for (const auto checkpointing : {Checkpointing::kNone, Checkpointing::kSelective}) {
    auto plan = plan_with(checkpointing, model, config, dtype_bytes, target);
    if (fits(plan, most_kv_bytes(model, config, static_cast<double>(dtype_bytes)), target)) return plan;
  }
  return plan_with(Checkpointing::kFull, model, config, dtype_bytes, target);
}

}  // namespace grpo::trainer
