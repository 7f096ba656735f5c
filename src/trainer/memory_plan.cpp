#include "trainer/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/nn/lm_head.h"
#include "grpo/nn/product_path.h"
#include "grpo/rollout/engine.h"
#include "trainer/group_sizes.h"

namespace grpo::trainer {
namespace {

using When = MemoryPart::When;

// The share of a device's or a process's memory that a plan may use. The allocator and the driver need the rest.
constexpr double kUsableShare = 0.92;
// LibTorch, code and small buffers of a process on the CPU: the resident size of a tiny run.
constexpr double kProgramBytes = 0.35e9;
// What a GPU holds besides tensors: CUDA's context, the code of LibTorch, cuBLAS and our kernels, cuBLAS's workspaces,
// and what graphs hold besides their logits. This is an estimate; no device has been measured yet.
constexpr double kDeviceBytes = 1.5e9;
// Micro-batches are not made smaller than this to save memory. However few tokens a pass has, it reads and writes every
// weight's gradient, about 10 bytes a parameter, beside 6 operations for each parameter and token. On a GPU that makes
// 400 operations in the time of a byte, this takes a twelfth of the time of a pass of 8,192 tokens, and in smaller
// passes more than computing gate and up again does, which is about a tenth.
constexpr int64_t kFewestTokens = 8192;

// The parameters of the embedding, the final norm and the head.
double parameters_outside_layers(const models::ModelConfig& model) {
  return static_cast<double>(model.hidden_size * (model.vocab_size * (model.tied_embeddings ? 1 : 2) + 1));
}

double sum(const std::vector<MemoryPart>& parts, When when) {
  double bytes = 0.0;
  for (const auto& part : parts) {
    if (part.when == When::kAlways || part.when == when) bytes += part.bytes;
  }
  return bytes;
}

// The tensors that the backward pass of one layer needs, in elements a token (models/causal_lm.cpp, TrainingPass): the
// layer's input and the middle of its residual stream, rotated queries and keys (and with qk_norm also those before the
// norm), values, attention's result, gate and up.
double saved_elements_of_a_layer(const models::ModelConfig& model) {
  const double heads = static_cast<double>(model.num_heads * model.head_dim);
  const double kv_heads = static_cast<double>(model.num_kv_heads * model.head_dim);
  const double normed_heads = model.qk_norm ? heads + kv_heads : 0.0;
  return 2.0 * static_cast<double>(model.hidden_size) + 2.0 * heads + 2.0 * kv_heads + normed_heads +
         2.0 * static_cast<double>(model.intermediate_size);
}

double saved_elements(const models::ModelConfig& model, models::Recompute recompute) {
  const auto layers = static_cast<double>(model.num_layers), hidden = static_cast<double>(model.hidden_size);
  const double whole = saved_elements_of_a_layer(model);
  switch (recompute) {
    case models::Recompute::kNone:
      return layers * whole;
    case models::Recompute::kSelective:
      return layers * (whole - 2.0 * static_cast<double>(model.intermediate_size));
    case models::Recompute::kFull:
      break;
  }
  return layers * hidden + whole;  // the inputs of all layers, and all of the one layer that is computed again
}

// What a layer's backward pass holds beside what is saved (nn/layers.cpp), in elements a token: in the MLP the
// gradients of gate and up and of their product (whose memory the product itself has had before), and four of the
// hidden size for the norm and the gradients of the residual stream.
double backward_elements(const models::ModelConfig& model) {
  return 3.0 * static_cast<double>(model.intermediate_size) + 4.0 * static_cast<double>(model.hidden_size);
}

// What a product on the CPU holds beside a chunk's logits: oneDNN makes a transposed copy of their gradient, our own
// kernels a copy of a part (kernels/product.cpp).
double product_bytes(double logits, double dtype_bytes) {
  const auto path = nn::packed_path(dtype_bytes == 4.0 ? at::kFloat : at::kBFloat16);
  constexpr double kPart = 4194304.0;  // numbers, once in fp32 and once in the dtype
  return path == nn::ProductPath::kOwn ? std::min(logits, (4.0 + dtype_bytes) * kPart) : logits;
}

// What the head holds while it runs, beside what is saved (nn/lm_head.cpp): a chunk's logits, which their gradient
// overwrites; the weight's gradient in fp32, and at the end also in the working dtype where that is another; the hidden
// states of the trained tokens and their gradient.
double head_bytes(const models::ModelConfig& model, double tokens, double dtype_bytes, bool trained, bool cuda) {
  const auto vocabulary = static_cast<double>(model.vocab_size), hidden = static_cast<double>(model.hidden_size);
  const double chunk = std::min(static_cast<double>(nn::auto_chunk_tokens(cuda)), tokens);
  const double logits = chunk * vocabulary * dtype_bytes;
  const double gradient = (dtype_bytes < 4.0 ? 4.0 + dtype_bytes : 4.0) * vocabulary * hidden;
  return logits + (cuda ? 0.0 : product_bytes(logits, dtype_bytes)) + (trained ? gradient : 0.0) +
         2.0 * tokens * hidden * dtype_bytes;
}

// Whether the run samples at all, in steps or in evaluations.
bool samples(const TrainConfig& config) {
  return !learns_written_texts(config.algorithm) || config.eval.every_steps > 0;
}

// The most sequences that are decoded at one time. An evaluation fills every slot.
int64_t most_decoded(const TrainConfig& config, bool cuda) {
  const int64_t slots = decoded_together(config.rollout, cuda);
  return config.eval.every_steps > 0 ? slots : std::min(slots, most_together(config.rollout));
}

// The size of the KV cache when every slot holds a sequence of full length.
double most_kv_bytes(const models::ModelConfig& model, const TrainConfig& config, double dtype_bytes, bool cuda) {
  if (!samples(config)) return 0.0;
  const RolloutConfig& rollout = config.rollout;
  const auto pages = [&](int64_t tokens) {
    const int64_t whole = (tokens + rollout.page_size - 1) / rollout.page_size;
    return static_cast<double>(whole);
  };
  const double page = 2.0 *
                      static_cast<double>(model.num_layers * model.num_kv_heads * model.head_dim * rollout.page_size) *
                      dtype_bytes;
  return (pages(longest_decoded(config)) * static_cast<double>(most_decoded(config, cuda) + 1) + 1.0) * page;
}

}  // namespace

int64_t longest_rollout(const TrainConfig& config) {
  const int64_t longest = config.data.max_prompt_tokens + config.rollout.max_new_tokens;
  return config.rollout.max_total_tokens ? std::min(longest, *config.rollout.max_total_tokens) : longest;
}

// Evaluations have the prompts that leave room for rollout.max_new_tokens, and may have a limit of their own for
// completions.
int64_t longest_decoded(const TrainConfig& config) {
  if (config.eval.every_steps == 0) return longest_rollout(config);
  const int64_t more =
      config.eval.max_new_tokens.value_or(config.rollout.max_new_tokens) - config.rollout.max_new_tokens;
  return longest_rollout(config) + std::max<int64_t>(more, 0);
}

int64_t longest_together(const TrainConfig& config) {
  const bool all = config.algorithm.method == MethodKind::kGrpo;
  const int64_t together = compares_groups(config.algorithm) ? (all ? largest_size(config.rollout) : 2) : 1;
  return together * longest_rollout(config);
}

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

int64_t decoded_together(const RolloutConfig& rollout, bool cuda) {
  return rollout.max_sequences.value.value_or(rollout::auto_max_sequences(cuda));
}

double share_of_host_memory(const std::vector<std::string>& hosts, int64_t rank) {
  const auto beside = std::count(hosts.begin(), hosts.end(), hosts[static_cast<size_t>(rank)]);
  return static_cast<double>(base::usable_memory_bytes()) / static_cast<double>(beside);
}

void check_weights_fit(const models::ModelConfig& model, int64_t dtype_bytes, const PlanTarget& target) {
  const double weights = static_cast<double>(model.num_parameters() * dtype_bytes);
  if (target.memory_bytes == 0.0 || weights <= kUsableShare * target.memory_bytes) return;
  char sizes[96];
  std::snprintf(sizes, sizeof sizes, "%.1f GB, and a rank has %.1f GB", weights / 1e9, target.memory_bytes / 1e9);
  throw base::ConfigError(base::concat("model.path: the weights alone take ", sizes,
                                       "; every rank samples with whole weights, also with zero3: use ",
                                       target.cuda ? "GPUs with more memory, " : "fewer ranks on this machine, ",
                                       dtype_bytes > 2 ? "model.dtype: bfloat16, " : "", "or a smaller model"));
}

double update_bytes(const models::TrainedElements& trained, const MemoryPlan& plan,
                    const dist::DistributedConfig& config, optim::OptimizerKind optimizer, int64_t dtype_bytes,
                    int64_t ranks, int64_t passes) {
  using optim::StateSharding;
  const double n = trained.all;
  const auto b = static_cast<double>(dtype_bytes);
  const double r = config.reduce_dtype == dist::ReduceDtype::kBfloat16 ? 2.0 : 4.0;
  const auto m = static_cast<double>(passes);
  const double in_layers = n - trained.outside_layers;
  const auto each = [&] {
    switch (plan.sharding) {
      case StateSharding::kNone:
        return 2.0 * r * n;
      case StateSharding::kOptimizer:
        return (r + b) * n;
      case StateSharding::kGradients:
        return (r * m + b) * n;
      case StateSharding::kWeights:
        break;
    }
    return (r * m + b) * n + 2.0 * b * m * in_layers;
  };
  const bool gathers_matrices = optimizer == optim::OptimizerKind::kMuon && plan.sharding != StateSharding::kNone;
  return (each() + (gathers_matrices ? 4.0 * in_layers : 0.0)) * static_cast<double>(ranks - 1);
}

namespace {

// The choices that make one plan.
struct Choice {
  models::Recompute recompute;
  optim::StateSharding sharding;
  bool offload;
  int64_t micro_batch_tokens;
};

// The bytes of moments, and of masters where the weights are copies of them, for each parameter. AdamW has two moments.
// Muon has one for the layers' matrices, beside which the layers' vectors are nothing.
double state_bytes_each(optim::OptimizerKind kind, bool copies, double share_in_layers) {
  const double moments = kind == optim::OptimizerKind::kMuon ? 8.0 - 4.0 * share_in_layers : 8.0;
  return moments + (copies ? 4.0 : 0.0);
}

// What Muon needs beside its state while it works on its largest matrix: three matrices of that size in the working
// dtype and one in fp32, and where ranks split the state two more in fp32 to put the matrix together.
double muon_bytes(const models::ModelConfig& model, const models::LoraConfig& lora, bool split, double b) {
  const int64_t rows = lora.rank > 0 ? lora.rank : model.hidden_size;
  const double matrix = static_cast<double>(rows * model.intermediate_size);
  return matrix * ((split ? 2.0 * 4.0 : 0.0) + 3.0 * b + 4.0);
}

// Adds the optimizer's state of the n parameters that this rank updates. bytes: of the state of one parameter.
void add_optimizer(MemoryPlan& plan, double n, double bytes, bool copies, bool cuda) {
  if (plan.offload) plan.host_bytes = bytes * n;
  if (plan.offload && cuda) return;  // on the CPU the host's memory is what the plan is about
  plan.parts.push_back({copies ? "masters and moments" : "moments", bytes * n});
}

// The part of an offloaded state that is on the device at a time. It consists of whole tensors, of which the largest
// has `largest` elements. n: parameters that this rank updates; bytes: of the state of one.
double part_of_state_bytes(double n, double largest, double bytes) {
  return bytes * std::min(n, std::max(largest, static_cast<double>(optim::OptimizerOptions{}.offload_elements)));
}

void add_weights(MemoryPlan& plan, double n, double layer, double outside, double b, double ranks) {
  if (plan.sharding != optim::StateSharding::kWeights) {
    plan.parts.push_back({"weights", n * b});
    return;
  }
  plan.parts.push_back({"weights", n * b, When::kRollout});
  plan.parts.push_back({"shards of the weights", n * b / ranks});
  plan.parts.push_back({"two layers' and other weights", (2.0 * layer + outside) * b, When::kUpdate});
}

// A forward and backward pass.
struct Pass {
  double tokens;
  double dtype_bytes;
  double share_of_layers;      // the share of the layers that the backward pass goes through
  double gradients;            // bytes of all gradients that are held beside the fp32 sums
  double embedding_gradients;  // bytes of the head's gradient, if held beside the sums; an embedding's has the same
  double last_gradients;       // the part of `gradients` that comes only at the end, with that of the embedding
  bool trains_head;
};

// The larger of what a pass holds when its backward has reached the first layer, and what it holds at the embedding
// after that. By then gradients have taken the place of the saved activations, layer after layer. The gradient of a
// tied embedding exists for a moment beside that of the head, to which it is added.
double end_of_pass_bytes(const models::ModelConfig& model, const Pass& pass) {
  const double row = pass.tokens * pass.dtype_bytes;  // bytes of one element for each token
  const double first_layer =
      pass.gradients - pass.last_gradients + row * (saved_elements_of_a_layer(model) + backward_elements(model));
  const double embedding = pass.gradients + row * static_cast<double>(model.hidden_size) +
                           (model.tied_embeddings ? pass.embedding_gradients : 0.0);
  return std::max(first_layer, embedding);
}

void add_pass(MemoryPlan& plan, const models::ModelConfig& model, const Pass& pass, bool cuda) {
  const double row = pass.tokens * pass.dtype_bytes;
  const double saved = row * saved_elements(model, plan.recompute) * pass.share_of_layers;
  // The head runs before the last layer's backward, so the larger of the two counts. The gradient of the head's weight
  // is still there in that layer's backward.
  const double top = std::max(head_bytes(model, pass.tokens, pass.dtype_bytes, pass.trains_head, cuda),
                              pass.embedding_gradients + row * backward_elements(model));
  plan.parts.push_back({"saved activations", saved, When::kUpdate});
  plan.parts.push_back({"LM head, or a layer's backward", top, When::kUpdate});
  const double beyond = end_of_pass_bytes(model, pass) - saved - top;
  if (pass.gradients > 0.0 && beyond > 0.0)
    plan.parts.push_back({"gradients beyond activations", beyond, When::kUpdate});
}

// The optimizer steps when the last pass is over, so what it needs only counts as far as it exceeds what a pass holds,
// which are the parts from index `first` on.
void add_step_beyond_pass(MemoryPlan& plan, size_t first, double step) {
  double pass = 0.0;
  for (size_t i = first; i < plan.parts.size(); ++i) pass += plan.parts[i].bytes;
  if (step > pass) plan.parts.push_back({"optimizer's step beyond a pass", step - pass, When::kUpdate});
}

// Every rank holds the whole critic. Its passes are not counted: they are no larger than the policy's, and not at the
// same time.
void add_critic(MemoryPlan& plan, double elements, double dtype_bytes, double state_bytes, bool copies, bool cuda) {
  plan.parts.push_back({"critic's weights", elements * dtype_bytes});
  const double state = elements * state_bytes;
  if (plan.offload) plan.host_bytes += state;
  if (!plan.offload || !cuda)
    plan.parts.push_back({copies ? "critic's masters and moments" : "critic's moments", state});
  plan.parts.push_back({"critic's gradient sums", 4.0 * elements, When::kUpdate});
}

MemoryPlan plan_with(const Choice& choice, const models::ModelConfig& model, const TrainConfig& config,
                     int64_t dtype_bytes, const PlanTarget& target) {
  using optim::StateSharding;
  const auto n = static_cast<double>(model.num_parameters());
  const auto b = static_cast<double>(dtype_bytes);
  const auto vocabulary = static_cast<double>(model.vocab_size);
  const auto ranks = static_cast<double>(target.ranks);
  const double outside = parameters_outside_layers(model);
  const double embedding = vocabulary * static_cast<double>(model.hidden_size);
  const auto layers = static_cast<double>(std::max<int64_t>(model.num_layers, 1));
  const double layer = (n - outside) / layers;
  const bool adapters = config.model.lora.rank > 0;
  const auto trained = models::trained_elements(model, config.model.freeze, config.model.lora);
  const double trained_layer = adapters ? trained.all / layers : layer;  // elements that take a gradient
  const bool splits_sums = choice.sharding == StateSharding::kGradients || choice.sharding == StateSharding::kWeights;
  const bool copies = dtype_bytes < 4;  // fp32 weights are their own masters, and their .grad is the fp32 sum
  const auto sequences = static_cast<double>(most_decoded(config, target.cuda));
  const auto tokens = static_cast<double>(std::max(choice.micro_batch_tokens, longest_together(config)));

  MemoryPlan plan{.recompute = choice.recompute,
                  .micro_batch_tokens = choice.micro_batch_tokens,
                  .sharding = choice.sharding,
                  .offload = choice.offload,
                  .host_bytes = 0.0,
                  .parts = {},
                  .together = config.trainer.stream_update};
  add_weights(plan, n, layer, outside, b, ranks);
  const auto kind = config.optimizer.kind;
  const double share = choice.sharding == StateSharding::kNone ? 1.0 : ranks;
  const double state_bytes = state_bytes_each(kind, copies, (trained.all - trained.outside_layers) / trained.all);
  add_optimizer(plan, trained.all / share, state_bytes, copies, target.cuda);
  if (adapters) plan.parts.push_back({"adapters", trained.all * b});
  // With adapters the reference shares the policy's weights, and has adapters of its own only where it is synced.
  const double reference = !adapters ? n : config.algorithm.kl.sync_every ? trained.all : 0.0;
  if (holds_reference(config.algorithm)) plan.parts.push_back({"reference weights", reference * b});
  if (has_critic(config.algorithm))
    add_critic(plan, n, b, state_bytes_each(kind, copies, (n - outside) / n), copies, target.cuda);
  if (target.cuda)
    plan.parts.push_back({"context, libraries and graphs", kDeviceBytes});
  else
    plan.parts.push_back({"program", kProgramBytes});
  if (!target.cuda && samples(config)) plan.parts.push_back({"sampler's copy of the weights", n * b, When::kRollout});
  if (samples(config))
    plan.parts.push_back({"logits of a decode step", sequences * vocabulary * (b + 4.0), When::kRollout});
  plan.parts.push_back({"gradient sums", 4.0 * trained.all / (splits_sums ? ranks : 1.0), When::kUpdate});
  if (splits_sums) {
    const double others = adapters ? 0.0 : outside;
    plan.parts.push_back({"gradients of a layer and others", (trained_layer + others) * b, When::kUpdate});
  }
  const size_t first_of_pass = plan.parts.size();
  if (target.ranks > 1)
    plan.parts.push_back({"two layers' gradients on the way", 2.0 * 4.0 * trained_layer, When::kUpdate});
  const double own_gradients = copies && !splits_sums ? b : 0.0;
  add_pass(plan, model,
           {tokens, b, static_cast<double>(trained.layers_passed) / layers, own_gradients * trained.all,
            trained.head ? own_gradients * embedding : 0.0,
            // A frozen embedding has no gradient, and that of a tied one is there from the head on.
            model.tied_embeddings || adapters || !config.model.freeze.empty() ? 0.0 : own_gradients * embedding,
            trained.head},
           target.cuda);
  add_step_beyond_pass(
      plan, first_of_pass,
      (choice.offload ? part_of_state_bytes(trained.all / share, (adapters ? 0.0 : embedding) / share, state_bytes)
                      : 0.0) +
          (kind == optim::OptimizerKind::kMuon
               ? muon_bytes(model, config.model.lora, choice.sharding != StateSharding::kNone, b)
               : 0.0));
  const double device_gb = target.cuda ? target.memory_bytes / 1e9 : 0.0;
  const double bound = config.rollout.kv_memory_gb.value.value_or(
      rollout::auto_kv_memory_gb(device_gb, n * b / 1e9, plan.beside_kv_gb()));
  plan.parts.push_back(
      {"KV cache", std::min(most_kv_bytes(model, config, b, target.cuda), bound * 1e9)});  // kept from step to step
  return plan;
}

// Whether the plan fits. On a GPU the KV cache has what the rest leaves, so that there it must also be worth having: as
// large as it can be used, or a quarter of the memory. REQUIRES: the last part is the KV cache.
bool fits(const MemoryPlan& plan, double most_kv, const PlanTarget& target) {
  if (target.memory_bytes == 0.0) return true;
  const double kv = plan.parts.back().bytes;
  return plan.peak() <= kUsableShare * target.memory_bytes &&
         (!target.cuda || kv >= std::min(most_kv, 0.25 * target.memory_bytes));
}

// The ways to recompute activations, the cheapest in time first.
std::vector<models::Recompute> recompute_choices(RecomputeChoice wanted) {
  using models::Recompute;
  switch (wanted) {
    case RecomputeChoice::kNone:
      return {Recompute::kNone};
    case RecomputeChoice::kSelective:
      return {Recompute::kSelective};
    case RecomputeChoice::kFull:
      return {Recompute::kFull};
    case RecomputeChoice::kAuto:
      break;
  }
  return {Recompute::kNone, Recompute::kSelective, Recompute::kFull};
}

// The sizes of micro-batches to try. Where the user leaves it to the plan which activations are kept, a plan for a GPU
// tries smaller micro-batches before it computes more activations again. It does not where every micro-batch sends its
// gradients to other ranks, since sending them two or four times costs more than computing again.
std::vector<int64_t> micro_batch_choices(const TrainConfig& config, const PlanTarget& target,
                                         optim::StateSharding sharding) {
  const int64_t whole = config.trainer.micro_batch_tokens;
  std::vector<int64_t> choices = {whole};
  const bool sent_each_time =
      sharding == optim::StateSharding::kGradients || sharding == optim::StateSharding::kWeights;
  if (!target.cuda || sent_each_time || config.trainer.activation_checkpointing != RecomputeChoice::kAuto)
    return choices;
  for (const int64_t part : {whole / 2, whole / 4}) {
    if (part >= std::max(kFewestTokens, longest_rollout(config))) choices.push_back(part);
  }
  return choices;
}

// The ways to split state over ranks, in the order in which they are tried. streams: a streamed update sends its
// gradients only once, at its end, so it can split no more than the optimizer's state. adapters: so little is trained
// that splitting more of it saves nothing.
std::vector<optim::StateSharding> sharding_choices(dist::ShardingChoice wanted, int64_t ranks, bool streams,
                                                   bool adapters) {
  using optim::StateSharding;
  if (ranks == 1) return {StateSharding::kNone};
  if ((streams || adapters) && wanted == dist::ShardingChoice::kAuto) return {StateSharding::kOptimizer};
  switch (wanted) {
    case dist::ShardingChoice::kNone:
      return {StateSharding::kNone};
    case dist::ShardingChoice::kZero1:
      return {StateSharding::kOptimizer};
    case dist::ShardingChoice::kZero2:
      return {StateSharding::kGradients};
    case dist::ShardingChoice::kZero3:
      return {StateSharding::kWeights};
    case dist::ShardingChoice::kAuto:
      break;
  }
  return {StateSharding::kOptimizer, StateSharding::kGradients, StateSharding::kWeights};
}

std::vector<bool> offload_choices(OffloadOptimizer wanted, bool cuda) {
  if (wanted != OffloadOptimizer::kAuto) return {wanted == OffloadOptimizer::kTrue};
  return cuda ? std::vector<bool>{false, true} : std::vector<bool>{false};
}

}  // namespace

MemoryPlan plan_memory(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes,
                       const PlanTarget& target) {
  const double most_kv = most_kv_bytes(model, config, static_cast<double>(dtype_bytes), target.cuda);
  MemoryPlan plan;
  for (const bool offload : offload_choices(config.trainer.offload_optimizer, target.cuda)) {
    for (const auto sharding : sharding_choices(config.distributed.sharding, target.ranks, config.trainer.stream_update,
                                                config.model.lora.rank > 0)) {
      for (const auto recompute : recompute_choices(config.trainer.activation_checkpointing)) {
        for (const int64_t tokens : micro_batch_choices(config, target, sharding)) {
          plan = plan_with(
              {.recompute = recompute, .sharding = sharding, .offload = offload, .micro_batch_tokens = tokens}, model,
              config, dtype_bytes, target);
          if (fits(plan, most_kv, target)) return plan;
        }
      }
    }
  }
  return plan;
}

}  // namespace grpo::trainer
