// Makes from the configuration everything that a run trains with.
#include "trainer/run.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "grpo/base/cache.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/models/device.h"
#include "grpo/update/layer_hooks.h"
#include "trainer/expected_demand.h"
#include "trainer/load_prompts.h"
#include "trainer/memory_plan.h"
#include "trainer/methods/grpo.h"
#include "trainer/methods/sft.h"
#include "trainer/plan.h"
#include "trainer/run_inputs.h"
#include "trainer/sequences.h"
#include "trainer/train_shares.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

// What to plan for. The ranks must all make the same plan, so each plans with the memory of the rank that has least.
PlanTarget target_of_ranks(const PolicyConfig& policy, dist::Communicator& communicator) {
  const at::Device device = models::resolve_device(policy.device, communicator.local_rank());
  const int64_t ranks = communicator.size();
  double memory = device.is_cuda()
                      ? models::device_memory_bytes(device)
                      : share_of_host_memory(communicator.all_gather_bytes(base::host_name()), communicator.rank());
  for (const auto& theirs : communicator.all_gather({memory})) memory = std::min(memory, theirs[0]);
  return {.ranks = ranks, .cuda = device.is_cuda(), .memory_bytes = memory};
}

// To be called before the weights are loaded, because the error of a GPU whose memory runs out would not say what to
// do.
void check_weights_fit(const PolicyConfig& policy, const PlanTarget& target) {
  if (!fs::is_directory(policy.path)) return;  // load_policy says so
  const auto dtype =
      models::resolve_dtype(policy.dtype, policy.path, target.cuda ? at::Device(at::kCUDA) : at::Device(at::kCPU));
  check_weights_fit(models::read_model_config(policy.path, {}), static_cast<int64_t>(c10::elementSize(dtype)), target);
}

models::TrainingOptions training_options(const models::CausalLM& model, const MemoryPlan& plan) {
  const auto& shape = model.config();
  const fs::path cache = base::cache_folder();
  return {.recompute = plan.recompute,
          .attention = nn::choose_attention(
              {.heads = shape.num_heads, .kv_heads = shape.num_kv_heads, .head_dim = shape.head_dim}, model.dtype(),
              model.device(), cache.empty() ? cache : cache / "attention.json")};
}

void warn_overlap(const Run& run) {
  if (!run.writes()) return;
  std::unordered_set<std::string> trained;
  for (const Prompt& prompt : run.prompts) trained.insert(prompt.text);
  for (const EvalSet& set : run.eval_sets) {
    const auto both = std::count_if(set.prompts.begin(), set.prompts.end(),
                                    [&](const Prompt& prompt) { return trained.contains(prompt.text); });
    if (both == 0) continue;
    base::log_warning(base::concat("eval.data: ", both, " of the ", set.prompts.size(), " problems of ", set.name,
                                   " are trained on too: their accuracy is no held-out figure"));
  }
}

void load_data(Run& run) {
  const TrainConfig& config = run.config;
  const bool written = learns_written_texts(config.algorithm);
  const auto problems = load_train_problems(config.data, row_kind(config));
  run.prompts = prompts_of(run.policy, config.data, problems, longest_prompt(config), "data.train");
  reward::RewardConfig rewards = config.reward;
  if (written) rewards.terms.clear();  // written texts are not rewarded
  check_golds(run.prompts, rewards, "data.train", written ? verifier::GoldUse::kText : reward::gold_use(rewards),
              config.data.on_bad_row);
  const int64_t most_tokens = config.rollout.max_new_tokens;
  const bool special_tokens = config.data.allow_special_tokens;
  if (config.algorithm.method == MethodKind::kDpo) {
    run.pairs = written_pairs(run.policy, run.prompts, most_tokens, special_tokens);
  } else if (written) {
    run.completions = written_completions(run.policy, run.prompts, most_tokens, special_tokens);
  }
  if (config.eval.every_steps > 0) {
    const auto names = names_of_sets(config.eval.data, "eval.data");
    const auto judge = reward::judge_of(config.reward, config.eval.judge);
    for (size_t i = 0; i < names.size(); ++i) {
      run.eval_sets.push_back(
          {.name = names[i],
           .prompts = load_prompts(run.policy, config.data, {config.eval.data[i]}, longest_prompt(config), "eval.data",
                                   reward::needs_whole_rows(judge))});
      check_golds(run.eval_sets.back().prompts, judge, "eval.data", reward::gold_use(judge));
    }
  }
  warn_overlap(run);
  run.inputs = inputs_of(config, run.policy, problems, run.prompts, run.eval_sets);
}

// Refuses folders of adapters where whole weights are needed. Only the checkpoint of a run that trains adapters may
// hold adapters: it belongs to the start weights, which are loaded apart from it.
void refuse_other_weights(const TrainConfig& config, const fs::path& weights) {
  if (models::is_adapter_folder(config.model.path)) models::read_model_config(config.model.path);  // says what to do
  for (const fs::path& folder : {fs::path(config.model.path), weights}) {
    if (folder.empty() || !models::is_adapter_folder(folder)) continue;
    if (folder == weights && config.model.lora.rank > 0) continue;
    throw base::ConfigError(base::concat(
        folder.string(), ": holds adapters, and a run begins with a whole model; `grpo checkpoint export --merged` ",
        "makes one of a run's adapters"));
  }
  const std::string& critic = config.algorithm.ppo.critic;
  if (has_critic(config.algorithm) && !critic.empty() && models::is_adapter_folder(critic)) {
    throw base::ConfigError(base::concat("algorithm.ppo.critic: ", critic,
                                         " holds adapters, and a critic begins with a whole model, all of which it ",
                                         "trains and saves; merge them into their base model first"));
  }
}

// Refuses a model.max_positions that changes how heads are rotated, as it does where config.json leaves out the length
// that YaRN stretches: adapters are saved without it (plan.cpp refuses model.rope_theta for the same reason).
void refuse_other_rotation(const PolicyConfig& policy, const models::ModelConfig& overridden) {
  const auto scaling = [](const models::ModelConfig& config) {
    return models::to_json(config, "").value("rope_scaling", nlohmann::json());
  };
  if (scaling(models::read_model_config(policy.path)) == scaling(overridden)) return;
  throw base::ConfigError(
      base::concat("model.max_positions does not go with model.lora where it changes the rotary ",
                   "scaling: adapters are saved without it; write original_max_position_embeddings ",
                   "into rope_scaling of ", policy.path, "/config.json"));
}

// The reference, if the run holds one. For a policy with adapters it shares the policy's weights, without adapters or,
// with kl.sync_every, with older ones.
std::unique_ptr<models::CausalLM> make_reference(const Run& run, int64_t local_rank, uint64_t seed) {
  const TrainConfig& config = run.config;
  if (!holds_reference(config.algorithm)) return nullptr;
  if (config.model.lora.rank == 0) return load_model(config.model, {}, local_rank, seed);
  using Adapters = models::CausalLM::TwinAdapters;
  return run.policy.model->twin(config.algorithm.kl.sync_every ? Adapters::kCopies : Adapters::kNone);
}

void load_models(Run& run, const fs::path& weights, const PlanTarget& target) {
  const TrainConfig& config = run.config;
  const bool adapters = config.model.lora.rank > 0;
  refuse_other_weights(config, weights);
  check_weights_fit(config.model, target);
  const int64_t local_rank = run.communicator.local_rank();
  const auto seed = static_cast<uint64_t>(config.run.seed);
  run.policy = load_policy(config.model, config.rollout.stop_ids, adapters ? fs::path() : weights, local_rank, seed);
  run.policy.model->freeze(config.model.freeze);
  if (adapters) {
    refuse_other_rotation(config.model, run.policy.model->config());
    run.policy.model->add_adapters(config.model.lora, seed);
  }
  run.reference = make_reference(run, local_rank, seed);
}

// Gets the reference's log-probs for method dpo. The reference are the start weights. These are the policy's own while
// it has not learned; where the run goes on from a checkpoint they are loaded for this alone.
void load_references(Run& run, const fs::path& weights, const MemoryPlan& plan) {
  const models::CausalLM& policy = *run.policy.model;
  std::unique_ptr<models::CausalLM> start;
  const auto reference = [&]() -> const models::CausalLM& {
    if (weights.empty()) return policy;
    start = load_model(run.config.model, {}, run.communicator.local_rank(), static_cast<uint64_t>(run.config.run.seed));
    start->set_training_options(training_options(*start, plan));
    return *start;
  };
  const std::string print =
      base::concat(run.inputs.at("reference").get<std::string>(), ", shape ", run.inputs.at("shape").get<std::string>(),
                   ", ", models::dtype_name(policy.dtype()), " on ", policy.device().is_cuda() ? "cuda" : "cpu");
  run.references = reference_log_probs(run.learner(), {.prompts = run.prompts,
                                                       .chosen = run.pairs.chosen,
                                                       .rejected = run.pairs.rejected,
                                                       .weights = print,
                                                       .reference = reference});
}

// With eval.judge: auto, where a grader judges evaluations too, the reward itself is the judge, so that the grader is
// not started twice.
void make_rewards(Run& run) {
  const TrainConfig& config = run.config;
  const auto judge = reward::judge_of(config.reward, config.eval.judge);
  run.reward = reward::make_reward(config.reward);
  const bool same = config.eval.judge == "auto" && reward::uses_graders(judge);
  run.judge = same ? run.reward : reward::make_reward(judge);
}

std::unique_ptr<optim::Optimizer> make_optimizer(Run& run, const MemoryPlan& plan) {
  const bool in_bf16 = run.config.distributed.reduce_dtype == dist::ReduceDtype::kBfloat16;
  models::CausalLM& model = *run.policy.model;
  auto trained = model.trained();
  auto optimizer =
      std::make_unique<optim::Optimizer>(std::move(trained.parameters), run.config.optimizer,
                                         optim::OptimizerOptions{.decays = {},
                                                                 .communicator = &run.communicator,
                                                                 .sharding = plan.sharding,
                                                                 .reduce_dtype = in_bf16 ? at::kBFloat16 : at::kFloat,
                                                                 .layers = std::move(trained.layers),
                                                                 .offload = plan.offload});
  if (run.communicator.size() > 1) model.set_layer_hooks(update::layer_hooks(*optimizer));
  return optimizer;
}

// Makes the critic with the weights that it begins with: those of algorithm.ppo.critic, or the policy's start weights.
// Where the run goes on from a checkpoint, restore() reads its weights from there.
void make_critic(Run& run, const MemoryPlan& plan) {
  const TrainConfig& config = run.config;
  const PpoConfig& ppo = config.algorithm.ppo;
  PolicyConfig start = config.model;
  if (!ppo.critic.empty()) {
    start.path = ppo.critic;
    start.init = models::WeightsChoice::kPretrained;
  }
  run.critic = load_critic(start, run.communicator.local_rank(), static_cast<uint64_t>(config.run.seed));
  // A model's vocabulary may be larger than its tokenizer's, and then other models of this tokenizer have other ones.
  const int64_t ids = std::min(run.policy.tokenizer->vocab_size(), run.policy.model->config().vocab_size);
  if (run.critic->config().vocab_size < ids) {
    throw base::ConfigError(base::concat("algorithm.ppo.critic: ", ppo.critic, " has a vocabulary of ",
                                         run.critic->config().vocab_size, ", and the policy's texts have ", ids,
                                         " ids; expected a model with the policy's tokenizer"));
  }
  run.critic->set_training_options(training_options(*run.critic, plan));
  optim::OptimizerConfig optimizer = config.optimizer;
  optimizer.lr = ppo.critic_lr.value_or(optimizer.lr);
  auto trained = run.critic->trained();
  run.critic_optimizer = std::make_unique<optim::Optimizer>(
      std::move(trained.parameters), optimizer,
      optim::OptimizerOptions{
          .communicator = &run.communicator, .layers = std::move(trained.layers), .offload = plan.offload});
  if (run.communicator.size() > 1) run.critic->set_layer_hooks(update::layer_hooks(*run.critic_optimizer));
}

std::unique_ptr<rollout::Engine> make_engine(const Run& run, const MemoryPlan& plan) {
  const TrainConfig& config = run.config;
  const bool cuda = run.policy.model->device().is_cuda();
  return std::make_unique<rollout::Engine>(
      *run.policy.model, rollout::EngineOptions{.page_size = config.rollout.page_size,
                                                .max_sequences = decoded_together(config.rollout, cuda),
                                                .num_pages = {},
                                                .kv_memory_gb = config.rollout.kv_memory_gb,
                                                .beside_gb = plan.beside_kv_gb(),
                                                .exact = config.rollout.exact,
                                                .expected = expected_demand(config, run.prompts, run.eval_sets, cuda)});
}

std::unique_ptr<Method> make_method(Run& run) {
  if (run.config.algorithm.method == MethodKind::kDpo)
    return std::make_unique<Dpo>(run.config, run.policy, run.prompts, run.pairs, run.references);
  if (learns_written_texts(run.config.algorithm))
    return std::make_unique<Sft>(run.config, run.policy, run.prompts, run.completions);
  return std::make_unique<Grpo>(run.config, run.policy, run.prompts, *run.engine, *run.reward);
}

}  // namespace

update::Learner Run::learner() {
  return {.model = *policy.model,
          .reference = reference.get(),
          .optimizer = *optimizer,
          .communicator = communicator,
          .budget = budget,
          .objective = objective_of(config),
          .total_updates = total_steps * config.trainer.updates_per_step * config.trainer.epochs_per_step,
          .share_prompts = config.trainer.share_prompts};
}

std::optional<update::Learner> Run::critic_learner() {
  if (!critic) return std::nullopt;
  update::Learner learner = this->learner();
  return update::Learner{.model = *critic,
                         .optimizer = *critic_optimizer,
                         .communicator = communicator,
                         .budget = critic_budget,
                         .objective = {.aggregation = algo::Aggregation::kTokenMean,
                                       .value = update::Objective::Value{.clip = config.algorithm.ppo.value_clip}},
                         .total_updates = learner.total_updates,
                         .share_prompts = learner.share_prompts};
}

bool Run::has_moved_reference(int64_t step) const {
  return reference != nullptr && config.algorithm.kl.sync_every && step >= *config.algorithm.kl.sync_every;
}

void Run::sync_reference(int64_t step) {
  if (!has_moved_reference(step) || step % *config.algorithm.kl.sync_every != 0) return;
  const at::NoGradGuard no_grad;
  const auto& from = policy.model->own_parameters();
  const auto& to = reference->own_parameters();
  for (size_t i = 0; i < to.size(); ++i) at::Tensor(to[i].second).copy_(from[i].second);
}

std::unique_ptr<Run> assemble(const TrainConfig& config, const fs::path& weights, dist::Communicator& communicator) {
  std::unique_ptr<Run> run(new Run{.config = config,
                                   .communicator = communicator,
                                   .policy = {},
                                   .reference = {},
                                   .prompts = {},
                                   .completions = {},
                                   .pairs = {},
                                   .references = {},
                                   .eval_sets = {},
                                   .inputs = {},
                                   .reward = {},
                                   .optimizer = {},
                                   .critic = {},
                                   .critic_optimizer = {},
                                   .engine = {},
                                   .method = {},
                                   .budget = update::TokenBudget(1),
                                   .critic_budget = update::TokenBudget(1)});
  communicator.enter_phase("start");
  const PlanTarget target = target_of_ranks(config.model, communicator);
  load_models(*run, weights, target);
  models::CausalLM& model = *run->policy.model;
  const MemoryPlan plan =
      plan_memory(model.config(), config, static_cast<int64_t>(c10::elementSize(model.dtype())), target);
  run->splits_optimizer = plan.sharding != optim::StateSharding::kNone;
  run->budget = run->critic_budget = update::TokenBudget(plan.micro_batch_tokens);
  model.set_training_options(training_options(model, plan));
  if (run->reference) run->reference->set_training_options(training_options(*run->reference, plan));
  make_rewards(*run);
  load_data(*run);
  run->optimizer = make_optimizer(*run, plan);
  if (config.algorithm.method == MethodKind::kDpo) load_references(*run, weights, plan);
  if (has_critic(config.algorithm)) make_critic(*run, plan);
  run->engine = make_engine(*run, plan);
  run->method = make_method(*run);
  run->total_steps = steps_of(config, epoch_length(config.data.train, run->prompts));
  return run;
}

}  // namespace grpo::trainer
