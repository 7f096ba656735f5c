#include "trainer/plan.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "grpo/algo/advantage.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/text.h"
#include "grpo/data/sampler.h"
#include "grpo/metrics/console.h"
#include "grpo/models/device.h"
#include "grpo/models/freeze.h"
#include "grpo/models/model_config.h"
#include "trainer/divergence.h"
#include "trainer/divide_prompts.h"
#include "trainer/group_sizes.h"
#include "trainer/load_prompts.h"
#include "trainer/memory_plan.h"
#include "trainer/metric_watch.h"
#include "trainer/plan_inputs.h"
#include "trainer/plan_warnings.h"
#include "trainer/preferences.h"
#include "trainer/sampling_numbers.h"
#include "trainer/time_plan.h"
#include "trainer/train_shares.h"

namespace grpo::trainer {
namespace {

template <typename E>
std::string name_of(E value) {
  return enum_names(value)[static_cast<size_t>(value)];
}

bool plans_gpu(const TrainConfig& config, std::optional<double> memory_gb) {
  return memory_gb.has_value() || config.model.device == models::DeviceChoice::kCuda;
}

// The largest |A| in a group of which `right` rollouts have reward 1 and the rest 0, if every group of the step is like
// that.
double largest_advantage(const TrainConfig& config, int64_t right) {
  const int64_t g = largest_size(config.rollout);
  const auto rewards = at::zeros({g}, at::kDouble);
  rewards.slice(0, 0, right).fill_(1.0);
  return algo::group_advantage(rewards, {0, g}, config.algorithm.advantage).abs().max().item<double>();
}

std::string advantage_scale(const TrainConfig& config) {
  const int64_t g = largest_size(config.rollout);
  if (g == 1) return "; of each reward against the running mean of its prompt's";
  std::ostringstream text;
  text << "; |A| with rewards 0/1: " << largest_advantage(config, g / 2) << " in a half-right group";
  if (g > 3) text << ", " << largest_advantage(config, 1) << " for the only right answer of " << g;
  return text.str();
}

// As "200 steps over 4096 problems (3.1 epochs)". Where sets have weights, an epoch has another number of draws.
std::string extent_text(const TrainConfig& config, const DataExtent& data, int64_t steps, const char* what) {
  const auto draws = static_cast<double>(steps * config.rollout.prompts_per_step);
  return base::concat(steps, " steps over ", data.problems, " ", what, " (", draws / static_cast<double>(data.epoch),
                      " epochs", data.epoch == data.problems ? "" : base::concat(" of ", data.epoch, " draws"), ")");
}

void describe_examples(std::ostringstream& out, const TrainConfig& config, const DataExtent& data, int64_t steps) {
  const int64_t examples = config.rollout.prompts_per_step;
  if (config.algorithm.method == MethodKind::kDpo) {
    out << "method: dpo, pairs of the texts of data.chosen_key (" << config.data.chosen_key
        << ") and data.rejected_key (" << config.data.rejected_key << ")\n"
        << "reference: the start weights; its log-probs are computed once, before the first step, and no second model "
           "is held while training\n";
  } else {
    out << "method: sft, the texts of data.answer_key (" << config.data.answer_key << ") word for word\n";
  }
  out << "batch: " << examples << " examples a step in "
      << config.trainer.updates_per_step * config.trainer.epochs_per_step << " updates; "
      << extent_text(config, data, steps, "examples") << ", completions of at most " << config.rollout.max_new_tokens
      << " tokens, in micro-batches of " << config.trainer.micro_batch_tokens << "\n";
}

// Says which share of groups will be live at several accuracies of their prompts.
void describe_live_share(std::ostringstream& out, const RolloutConfig& rollout) {
  const auto g = static_cast<double>(largest_size(rollout));
  if (g < 2.0) return;
  out << "live groups of " << g << ":";
  for (const double p : {0.05, 0.1, 0.25, 0.5, 0.75, 0.9}) {
    char text[64];
    const double live = 1.0 - std::pow(p, g) - std::pow(1.0 - p, g);
    std::snprintf(text, sizeof text, "%s %.0f %% at accuracy %.2g", p == 0.05 ? "" : ",", 100.0 * live, p);
    out << text;
  }
  out << "; the others are tied and teach nothing\n";
}

void describe_groups(std::ostringstream& out, const TrainConfig& config) {
  const RolloutConfig& rollout = config.rollout;
  const AdaptiveConfig& adaptive = rollout.adaptive;
  if (adaptive.mode == AdaptiveMode::kExtend) out << "groups: tied ones grow";
  if (adaptive.mode == AdaptiveMode::kPredict)
    out << "groups: the smallest size whose chance of a mixed group is " << adaptive.min_mixed << " or more";
  if (adaptive.mode != AdaptiveMode::kOff) {
    std::vector<std::string> sizes;
    for (const int64_t size : adaptive.choices) sizes.push_back(std::to_string(size));
    out << ", of the sizes " << base::join(sizes, ", ") << "\n";
  }
  if (rollout.resample.max_rollouts) out << "groups: tied ones are replaced by those of fresh prompts\n";
  if (!has_critic(config.algorithm)) describe_live_share(out, rollout);  // with a critic every group teaches
}

void describe_batch(std::ostringstream& out, const TrainConfig& config, const DataExtent& data, int64_t steps) {
  if (learns_written_texts(config.algorithm)) return describe_examples(out, config, data, steps);
  const RolloutConfig& rollout = config.rollout;
  const int64_t first = rollout.prompts_per_step * first_size(rollout), most = most_rollouts(rollout);
  const int64_t updates = config.trainer.updates_per_step * config.trainer.epochs_per_step;
  out << "batch: " << rollout.prompts_per_step << " prompts x " << first_size(rollout) << " completions = " << first
      << " rollouts a step" << (most > first ? base::concat(" at first and at most ", most) : "") << "; " << updates
      << " update" << (updates == 1 ? "" : "s") << " a step of "
      << rollout.prompts_per_step / config.trainer.updates_per_step << " prompts; "
      << extent_text(config, data, steps, "problems") << ", " << steps * first
      << (most > first ? base::concat(" to ", steps * most) : "") << " rollouts in all\n";
  describe_groups(out, config);
  out << "tokens: at most " << most * rollout.max_new_tokens << " sampled a step (" << rollout.max_new_tokens
      << " a completion), in micro-batches of " << config.trainer.micro_batch_tokens << "\n";
  if (prefers(config.algorithm)) return;  // there is no ratio to an older policy
  out << "policy: "
      << (updates == 1 ? "on-policy: one update a step, so the ratio is 1 and clipping never acts"
                       : "off-policy after the first update of a step; old log-probs from the " +
                             name_of(config.algorithm.old_logprobs))
      << "\n";
}

void describe_optimizer(std::ostringstream& out, const optim::OptimizerConfig& config) {
  const bool muon = config.kind == optim::OptimizerKind::kMuon;
  out << "optimizer: " << (muon ? "Muon for the layers' matrices, else AdamW" : "AdamW") << ", lr " << config.lr
      << " after " << config.warmup_updates << " warm-up updates\n";
}

// The loss of pairs and groups, whose scale algorithm.aggregation does not concern.
void describe_preferences(std::ostringstream& out, const TrainConfig& config) {
  const AlgorithmConfig& algorithm = config.algorithm;
  const algo::PreferenceConfig& dpo = algorithm.dpo;
  const bool from_file = algorithm.method == MethodKind::kDpo;
  if (from_file || algorithm.method == MethodKind::kOnlineDpo) {
    out << "loss: " << name_of(algorithm.method) << ", " << name_of(dpo.kind) << ", beta " << dpo.beta
        << ", label smoothing " << dpo.label_smoothing << (dpo.length_normalised ? ", log-probs a token" : "");
  } else if (algorithm.policy.loss == algo::Loss::kPair) {
    out << "loss: pair";
  } else {
    out << "loss: pair_logistic, beta " << algorithm.policy.pair_beta << ", log-probs a token";
  }
  out << ", the mean over "
      << (algorithm.method == MethodKind::kGrpo && compares_groups(algorithm) ? "groups" : "pairs");
  if (!from_file) out << ", denominator " << name_of(algorithm.denominator);
  out << "\n";
}

// The critic, which takes the place of comparing the rewards of a group.
void describe_critic(std::ostringstream& out, const TrainConfig& config) {
  const PpoConfig& ppo = config.algorithm.ppo;
  out << "advantage: of each token, by a critic; gamma " << ppo.gamma << ", lambda " << ppo.lambda
      << (ppo.normalise ? ", normalised over the step" : "") << "\n"
      << "critic: " << (ppo.critic.empty() ? "the policy's start weights with a head of zeros" : ppo.critic) << ", lr "
      << ppo.critic_lr.value_or(config.optimizer.lr) << ", value clip ";
  if (ppo.value_clip) out << *ppo.value_clip << "\n";
  if (!ppo.value_clip) out << "off\n";
}

void describe_objective(std::ostringstream& out, const TrainConfig& config) {
  const AlgorithmConfig& algorithm = config.algorithm;
  if (prefers(algorithm)) {
    describe_preferences(out, config);
    describe_optimizer(out, config.optimizer);
    return;
  }
  if (learns_written_texts(algorithm)) {
    out << "loss: negative log-likelihood, " << name_of(algorithm.aggregation) << ", kl " << algorithm.kl.coef
        << ", entropy " << algorithm.entropy_coef << "\n";
    describe_optimizer(out, config.optimizer);
    return;
  }
  if (has_critic(algorithm)) {
    describe_critic(out, config);
  } else {
    out << "advantage: " << name_of(algorithm.advantage.kind) << ", std " << name_of(algorithm.advantage.std)
        << ", eps " << algorithm.advantage.std_eps << advantage_scale(config) << "\n";
  }
  out << "loss: " << name_of(algorithm.policy.loss) << ", clip [1 - " << algorithm.policy.clip_low << ", 1 + "
      << algorithm.policy.clip_high << "], " << name_of(algorithm.aggregation) << ", denominator "
      << name_of(algorithm.denominator) << ", kl " << algorithm.kl.coef << ", entropy " << algorithm.entropy_coef
      << "\n";
  describe_optimizer(out, config.optimizer);
}

void describe_evaluation(std::ostringstream& out, const TrainConfig& config, int64_t problems, int64_t steps) {
  const EvalConfig& eval = config.eval;
  if (eval.every_steps == 0) {
    out << "evaluation: none (eval.every_steps 0)\n";
    return;
  }
  const int64_t times = 1 + steps / eval.every_steps + (steps % eval.every_steps == 0 ? 0 : 1);
  const int64_t completions = problems * (eval.samples + (eval.greedy ? 1 : 0));
  out << "evaluation: " << times << " times " << problems << " problems x " << eval.samples << " samples"
      << (eval.greedy ? " and a greedy one" : "") << " = " << completions << " completions";
  for_each_number(eval.sampling, [&](const std::string& name, auto value) { out << ", " << name << " " << value; });
  out << "\n";
}

double gigabytes(double bytes) { return bytes / 1e9; }

void describe_traffic(std::ostringstream& out, const TrainConfig& config, const TimePlan& plan, int64_t ranks) {
  char line[160];
  std::snprintf(line, sizeof line,
                "traffic: %.2f GB sent by each rank a step (rollouts %.3f, update %.2f in %lld micro-batches; "
                "docs/distributed.md)\n",
                gigabytes(plan.rollout_bytes + plan.update_bytes), gigabytes(plan.rollout_bytes),
                gigabytes(plan.update_bytes), static_cast<long long>(plan.micro_batches));
  out << line;
  if (plan.idle_ranks > 0) {
    out << "idle: " << plan.idle_ranks << " of " << ranks << " ranks sample nothing, since a step has "
        << config.rollout.prompts_per_step << " prompts (rollout.prompts_per_step) and a group stays on one rank\n";
  }
}

// The ranks and memory to plan for. With --gpu-memory these are GPUs, which need not be in this machine.
PlanTarget imagined_target(const TrainConfig& config, int64_t ranks, std::optional<double> memory_gb) {
  const bool cuda = plans_gpu(config, memory_gb);
  const double available = memory_gb ? *memory_gb * 1e9
                           : cuda    ? models::device_memory_bytes({at::kCUDA, 0})
                                     : static_cast<double>(base::usable_memory_bytes()) / static_cast<double>(ranks);
  return {.ranks = ranks, .cuda = cuda, .memory_bytes = available};
}

void describe_time(std::ostringstream& out, const TrainConfig& config, const models::ModelConfig& model,
                   at::ScalarType dtype, int64_t steps, const PlanTarget& target) {
  const DeviceRates rates = target.cuda ? assumed_gpu() : measure_cpu(dtype);
  const auto plan = plan_time(model, config, static_cast<int64_t>(c10::elementSize(dtype)), target, rates);
  const int64_t ranks = target.ranks;
  out << "time: " << metrics::duration(plan.step_s()) << " a step (rollout " << metrics::duration(plan.rollout_s)
      << ", update " << metrics::duration(plan.update_s)
      << (ranks > 1 ? ", communication " + metrics::duration(plan.communication_s) : std::string()) << "), "
      << metrics::duration(plan.step_s() * static_cast<double>(steps))
      << " in all, if every prompt and completion had its full length; matrix products alone, " << rates.source << "\n";
  out << "limit: " << plan.limit << "\n";
  if (ranks > 1) describe_traffic(out, config, plan, ranks);
  if (const auto seconds = measured_step_seconds(config)) {
    out << "time: an earlier run of this name took " << metrics::duration(*seconds)
        << " a step on average, evaluations and checkpoints included: "
        << metrics::duration(*seconds * static_cast<double>(steps)) << " in all\n";
  }
}

// What to change when a rank needs more memory than it has; what helps most comes first.
std::string remedies(const MemoryPlan& plan, const TrainConfig& config, int64_t ranks) {
  std::vector<std::string> out;
  if (plan.together) out.emplace_back("trainer.stream_update: false");
  if (plan.update_peak() >= plan.rollout_peak()) {
    if (config.trainer.micro_batch_tokens > 1024) out.emplace_back("a smaller trainer.micro_batch_tokens");
    const bool adapters = config.model.lora.rank > 0;
    if (ranks > 1 && !adapters && plan.sharding != optim::StateSharding::kWeights)
      out.emplace_back("distributed.sharding: zero3");
    if (!plan.offload) out.emplace_back("trainer.offload_optimizer: true");
  } else {
    out.emplace_back("a smaller rollout.kv_memory_gb or rollout.max_sequences");
  }
  out.emplace_back(ranks > 1 ? "more ranks" : "several ranks (--gpus N plans them)");
  return base::join(out, ", ");
}

const char* recompute_name(models::Recompute recompute) {
  return recompute == models::Recompute::kNone        ? "none"
         : recompute == models::Recompute::kSelective ? "selective"
                                                      : "full";
}

// For example "zero1", or "auto: zero1" where it was left to the program.
std::string sharding_text(optim::StateSharding chosen, const dist::DistributedConfig& config) {
  using optim::StateSharding;
  const char* const name = chosen == StateSharding::kNone        ? "none"
                           : chosen == StateSharding::kOptimizer ? "zero1"
                           : chosen == StateSharding::kGradients ? "zero2"
                                                                 : "zero3";
  return config.sharding == dist::ShardingChoice::kAuto ? base::concat("auto: ", name) : name;
}

void describe_memory(std::ostringstream& out, const TrainConfig& config, const models::ModelConfig& model,
                     at::ScalarType dtype, const PlanTarget& target) {
  const auto [ranks, cuda, available] = target;
  const auto dtype_bytes = static_cast<int64_t>(c10::elementSize(dtype));
  const auto plan = plan_memory(model, config, dtype_bytes, target);
  char line[160];
  out << "memory of " << (ranks > 1 ? base::concat("each of ", ranks, " ranks") : std::string("the process")) << ", "
      << models::dtype_name(dtype) << " on " << (cuda ? "a GPU" : "the CPU") << ", sharding "
      << sharding_text(plan.sharding, config.distributed) << "\n";
  for (const auto& part : plan.parts) {
    const char* when = part.when == MemoryPart::When::kAlways    ? ""
                       : part.when == MemoryPart::When::kRollout ? "  (rollout)"
                                                                 : "  (update)";
    std::snprintf(line, sizeof line, "  %-32s %9.2f GB%s\n", part.name.c_str(), gigabytes(part.bytes), when);
    out << line;
  }
  std::snprintf(line, sizeof line, "  peak: rollout %.2f GB, update %.2f GB, of %.1f GB\n",
                gigabytes(plan.rollout_peak()), gigabytes(plan.update_peak()), gigabytes(available));
  out << line;
  if (plan.together) {
    std::snprintf(line, sizeof line, "  peak: %.2f GB, as trainer.stream_update holds both at once\n",
                  gigabytes(plan.peak()));
    out << line;
  }
  out << "  update: micro-batches of " << plan.micro_batch_tokens << " tokens, activation checkpointing "
      << recompute_name(plan.recompute);
  if (plan.micro_batch_tokens < config.trainer.micro_batch_tokens)
    out << "; larger ones would compute more activations again";
  out << "\n";
  if (plan.peak() > available)
    out << "warning: this does not fit; what would help: " << remedies(plan, config, ranks) << "\n";
  if (plan.offload) {
    std::snprintf(line, sizeof line, "offload: %s in host memory, %.2f GB a rank%s\n",
                  dtype_bytes < 4 ? "masters and moments" : "moments", gigabytes(plan.host_bytes),
                  cuda ? ", page-locked" : "");
    out << line;
  }
  if (holds_reference(config.algorithm) && plan.sharding == optim::StateSharding::kWeights) {
    out << "reference: its weights stay whole on every rank, also with zero3\n";
  }
}

}  // namespace

int64_t steps_of(const TrainConfig& config, int64_t epoch) {
  if (config.trainer.steps) return *config.trainer.steps;
  const int64_t whole = data::num_steps(config.data.epochs, epoch, config.rollout.prompts_per_step);
  if (whole < 1) {
    throw base::ConfigError(base::concat("data.epochs ", config.data.epochs, " of ", epoch,
                                         " problems is less than one step of rollout.prompts_per_step ",
                                         config.rollout.prompts_per_step,
                                         "; use more epochs, fewer prompts or trainer.steps"));
  }
  return whole;
}

namespace {

// Says which part of the model is trained; empty where all of it is.
std::string trained_text(const PolicyConfig& policy, const models::ModelConfig& model) {
  const auto& lora = policy.lora;
  const double all = models::trained_elements(model, policy.freeze, lora).all;
  const auto n = static_cast<double>(model.num_parameters());
  char text[96];
  if (lora.rank == 0 && policy.freeze.empty()) return "";
  std::snprintf(text, sizeof text, "trained: %.0f elements, %.3g %% of the model's", all, 100.0 * all / n);
  if (lora.rank == 0) return base::concat(text, ", those that model.freeze leaves\n");
  return base::concat(text, ": adapters of rank ", lora.rank, ", alpha ", lora.alpha, ", dropout ", lora.dropout,
                      " on ", base::join(lora.targets, ", "), "; the weights themselves stay as they are\n");
}

// How long the prompts are and how the first one reads, which shows a template or a system message that does not fit.
// Nothing where the tokenizer or the problems are not here.
void describe_prompts(std::ostream& out, const TrainConfig& config, const PlanAssumptions& assumptions,
                      const std::vector<data::Problem>& train) {
  constexpr size_t kMostProblems = 1000;
  if (!assumptions.shape.empty() || assumptions.rows || train.empty()) return;
  if (!std::filesystem::exists(models::base_folder(config.model.path) / "tokenizer.json")) return;
  const size_t count = std::min(train.size(), kMostProblems);
  const auto prompts =
      prompts_of(load_tokenizer(config.model), config.data,
                 {train.begin(), train.begin() + static_cast<int64_t>(count)}, longest_prompt(config), "data.train");
  const auto shorter = [](const Prompt& a, const Prompt& b) { return a.ids.size() < b.ids.size(); };
  const auto [least, most] = std::minmax_element(prompts.begin(), prompts.end(), shorter);
  out << "prompts: " << least->ids.size() << " to " << most->ids.size() << " tokens in "
      << (count < train.size() ? "the first " : "") << count << "; the first: "
      << nlohmann::json(prompts.front().text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
}

}  // namespace

std::string resolved_choices(const TrainConfig& config, const Policy& policy, const DataExtent& data, int64_t steps) {
  std::ostringstream out;
  out << "training " << config.run.name << "\n";
  describe_batch(out, config, data, steps);
  describe_objective(out, config);
  out << trained_text(config.model, policy.model->config());
  std::vector<std::string> stops;
  for (const int64_t id : policy.stop_ids) stops.push_back(std::to_string(id));
  out << "model: " << policy.model->config().model_type << ", " << policy.model->config().num_parameters()
      << " parameters, " << models::dtype_name(policy.model->dtype()) << " on " << policy.model->device().str()
      << "; stop ids " << base::join(stops, ", ");
  const auto& trained = *policy.model;
  for (const auto& warning : sampling_warnings(config, trained.config(), trained.dtype(), trained.device().is_cuda()))
    out << "\nwarning: " << warning;
  return out.str();
}

std::string plan_text(const TrainConfig& config, int64_t ranks, std::optional<double> memory_gb,
                      const PlanAssumptions& assumptions) {
  const auto inputs = plan_inputs(config, assumptions);
  const auto& model = inputs.model;
  const DataExtent data{.problems = static_cast<int64_t>(inputs.train.size()),
                        .epoch = epoch_length(config.data.train, inputs.train)};
  const int64_t steps = steps_of(config, data.epoch);
  at::set_num_threads(num_threads(config.trainer.threads));
  std::ostringstream out;
  out << "run: " << config.run.output << "/" << config.run.name << "\n";
  for (const auto& assumed : inputs.assumed) out << "assumed: " << assumed << "\n";
  out << "model: " << (assumptions.shape.empty() ? config.model.path : assumptions.shape) << ", " << model.model_type
      << ", " << model.num_parameters() << " parameters\n";
  out << trained_text(config.model, model);
  describe_batch(out, config, data, steps);
  describe_prompts(out, config, assumptions, inputs.train);
  describe_objective(out, config);
  describe_evaluation(out, config, static_cast<int64_t>(inputs.evaluated.size()), steps);
  const PlanTarget target = imagined_target(config, ranks, memory_gb);
  const auto dtype = plan_dtype(config, assumptions, target.cuda);
  check_weights_fit(model, static_cast<int64_t>(c10::elementSize(dtype)), target);
  describe_time(out, config, model, dtype, steps, target);
  describe_memory(out, config, model, dtype, target);
  for (const auto& warning : sampling_warnings(config, model, dtype, target.cuda))
    out << "warning: " << warning << "\n";
  for (const auto& warning : plan_warnings(config, steps, inputs.train, inputs.evaluated, ranks))
    out << "warning: " << warning << "\n";
  return out.str();
}

int num_threads(int64_t wanted) { return wanted > 0 ? static_cast<int>(wanted) : base::usable_cores(); }

namespace {

// A streamed update computes gradients before the step's rollouts are complete, and at the weights that sample. It does
// not go with settings that need the whole step first or make several updates.
void validate_stream(const TrainConfig& config) {
  if (!config.trainer.stream_update) return;
  const auto refuse = [](const std::string& with, const std::string& why) {
    throw base::ConfigError(base::concat("trainer.stream_update: true does not go with ", with, ": ", why));
  };
  if (learns_written_texts(config.algorithm))
    refuse("algorithm.method: " + name_of(config.algorithm.method), "nothing is sampled to train beside");
  if (config.rollout.exact)
    refuse("rollout.exact: true",
           "micro-batches are filled in the order in which groups are completed, and that depends on what is decoded "
           "together; set one of them to false");
  if (config.trainer.updates_per_step * config.trainer.epochs_per_step > 1) {
    refuse("trainer.updates_per_step or trainer.epochs_per_step above 1",
           "a later update needs the whole step's rollouts and old log-probs");
  }
  if (largest_size(config.rollout) == 1)
    refuse("rollout.group_size: 1", "its advantages need every reward of the step before the first one");
  const bool changes_groups =
      config.rollout.resample.max_rollouts || config.rollout.adaptive.mode == AdaptiveMode::kExtend;
  if (config.algorithm.kl.coef > 0.0 && config.algorithm.kl.in == KlIn::kReward)
    refuse("algorithm.kl.in: reward", "the reference reads the rollouts when all are there");
  if (changes_groups && (config.algorithm.kl.coef > 0.0 || config.algorithm.entropy_coef > 0.0)) {
    refuse("rollout.resample or rollout.adaptive.mode: extend while KL or entropy is in the loss",
           "tied groups train then, and which of them stay in the step is known only at its end");
  }
  if (algo::looks_beyond_group(config.algorithm.advantage.kind)) {
    refuse(base::concat("algorithm.advantage: ", name_of(config.algorithm.advantage.kind)),
           "it needs every reward of the step before the first advantage");
  }
  if (config.distributed.sharding == dist::ShardingChoice::kZero2 ||
      config.distributed.sharding == dist::ShardingChoice::kZero3) {
    refuse(base::concat("distributed.sharding: ", name_of(config.distributed.sharding)),
           "ranks would wait for each other in the middle of their rollouts; use zero1");
  }
}

}  // namespace

void validate_inputs(const TrainConfig& config) {
  if (config.data.train.empty()) throw base::ConfigError("data.train: name at least one file of problems");
  if (config.model.path.empty()) throw base::ConfigError("model.path: name a Hugging Face model folder");
  const std::filesystem::path output(config.run.output);
  if (std::filesystem::exists(output) && !std::filesystem::is_directory(output)) {
    throw base::ConfigError("run.output " + config.run.output +
                            ": is no folder; expected one that holds, or will hold, the runs");
  }
}

namespace {

void validate_adapters(const PolicyConfig& model, dist::ShardingChoice sharding, update::SharePrompts share) {
  if (model.lora.rank == 0) return;
  models::validate(model.lora);
  if (!model.freeze.empty()) {
    throw base::ConfigError(
        "model.freeze does not go with model.lora: adapters alone are trained; model.lora.targets says where they are");
  }
  if (model.init == models::WeightsChoice::kRandom) {
    throw base::ConfigError(
        "model.init: random does not go with model.lora: adapters are saved without the weights that they were trained "
        "on, and whoever reads them takes those of model.path; save a model of random weights first");
  }
  if (model.rope_theta.value) {
    throw base::ConfigError(
        "model.rope_theta does not go with model.lora: adapters are saved without it, and whoever reads them takes the "
        "base model's; set rope_theta in the config.json of model.path");
  }
  if (sharding == dist::ShardingChoice::kZero3) {
    throw base::ConfigError(
        "distributed.sharding: zero3 does not go with model.lora: it splits trained weights, and the model's own are "
        "not trained; use auto, zero1 or zero2");
  }
  if (model.lora.dropout > 0.0 && share == update::SharePrompts::kTrue) {
    throw base::ConfigError(
        "trainer.share_prompts: true does not go with model.lora.dropout: what is left out at a prompt's tokens "
        "differs between its completions; use auto or false");
  }
}

}  // namespace

void validate_ppo(const TrainConfig& config) {
  if (!has_critic(config.algorithm)) return;
  const auto refuse = [](const std::string& other, const std::string& why) {
    throw base::ConfigError(base::concat("algorithm.method: ppo does not go with ", other, ": ", why));
  };
  const auto loss = config.algorithm.policy.loss;
  if (!algo::is_per_token(loss) || loss == algo::Loss::kPair)
    refuse("algorithm.loss: " + name_of(loss), "its advantages are the tokens' own");
  const std::string whole = "it learns from every completion, whatever the rest of its group is like";
  if (config.rollout.resample.max_rollouts) refuse("rollout.resample.max_rollouts", whole);
  if (config.rollout.adaptive.mode != AdaptiveMode::kOff) refuse("rollout.adaptive.mode", whole);
  if (config.trainer.stream_update)
    refuse("trainer.stream_update: true", "advantages are known when the whole step has been sampled");
  if (config.algorithm.negative_tokens == NegativeTokens::kFiltered)
    refuse("algorithm.negative_tokens: filtered", "a token's advantage says itself what it is worth");
}

namespace {

// What written texts have nothing of: no groups, no rewards, no completions that are cut off.
void validate_written_texts(const TrainConfig& config) {
  if (!learns_written_texts(config.algorithm)) return;
  const auto refuse = [&](const std::string& key) {
    throw base::ConfigError(base::concat(key, " has no effect with algorithm.method: ",
                                         name_of(config.algorithm.method), ", which samples nothing to learn from"));
  };
  const RolloutConfig& rollout = config.rollout;
  if (config.algorithm.kl.coef > 0.0 && config.algorithm.kl.in == KlIn::kReward) refuse("algorithm.kl.in: reward");
  if (data::order_of(config.data) == data::Order::kUncertain) refuse("data.order: uncertain");
  if (rollout.adaptive.mode != AdaptiveMode::kOff) refuse("rollout.adaptive.mode: " + name_of(rollout.adaptive.mode));
  if (rollout.resample.max_rollouts) refuse("rollout.resample.max_rollouts");
  if (rollout.overlong.buffer > 0) refuse("rollout.overlong.buffer");
  if (config.algorithm.truncated != Truncated::kTrain)
    refuse("algorithm.truncated: " + name_of(config.algorithm.truncated));
  if (config.algorithm.negative_tokens != NegativeTokens::kAll) refuse("algorithm.negative_tokens: filtered");
}

// What belongs to something that is turned off would do nothing in silence.
void validate_what_is_off(const TrainConfig& config) {
  const AdaptiveConfig& adaptive = config.rollout.adaptive;
  const auto refuse = [](const std::string& key, const std::string& needs) {
    throw base::ConfigError(base::concat(key, " has no effect without ", needs, "; leave it out"));
  };
  if (config.algorithm.kl.sync_every && !holds_reference(config.algorithm))
    refuse("algorithm.kl.sync_every", "algorithm.kl.coef, since no reference is held");
  if (adaptive.max_rollouts && adaptive.mode == AdaptiveMode::kOff)
    refuse("rollout.adaptive.max_rollouts", "rollout.adaptive.mode: extend or predict");
  if (adaptive.advantage_from != AdvantageFrom::kAll && adaptive.mode != AdaptiveMode::kExtend)
    refuse("rollout.adaptive.advantage_from: last_extension", "rollout.adaptive.mode: extend");
  if (config.eval.every_steps > 0) return;
  if (is_of_evaluation(config.trainer.stop_on.metric))
    refuse("trainer.stop_on.metric " + config.trainer.stop_on.metric, "evaluations (eval.every_steps)");
  if (is_of_evaluation(config.checkpoint.keep_best))
    refuse("checkpoint.keep_best " + config.checkpoint.keep_best, "evaluations (eval.every_steps)");
}

// The penalty's mean is reward/overlong/mean, as that of a term of this name would be.
void validate_names(const TrainConfig& config) {
  if (config.rollout.overlong.buffer == 0) return;
  for (const auto& term : config.reward.terms) {
    if (term.name == "overlong")
      throw base::ConfigError(
          "reward.terms: a term cannot be called overlong beside rollout.overlong, whose mean is reward/overlong/mean; "
          "give it another name");
  }
}

}  // namespace

void validate(const TrainConfig& config) {
  algo::validate(config.algorithm.policy);
  validate_adapters(config.model, config.distributed.sharding, config.trainer.share_prompts);
  validate_stream(config);
  validate_stop_on(config.trainer.stop_on.signs);
  validate_goal(config.trainer.stop_on);
  validate_watched(config.checkpoint.keep_best, "checkpoint.keep_best");
  optim::validate(config.optimizer);
  const RolloutConfig& rollout = config.rollout;
  if (rollout.prompts_per_step % config.trainer.updates_per_step != 0) {
    throw base::ConfigError(base::concat("trainer.updates_per_step ", config.trainer.updates_per_step,
                                         " does not divide rollout.prompts_per_step ", rollout.prompts_per_step,
                                         "; mini-batches must be equal"));
  }
  validate_groups(rollout);
  validate_preferences(config);
  validate_ppo(config);
  validate_written_texts(config);
  validate_what_is_off(config);
  validate_names(config);
  if (config.rollout.overlong.buffer >= rollout.max_new_tokens) {
    throw base::ConfigError(base::concat("rollout.overlong.buffer ", rollout.overlong.buffer,
                                         " is not less than rollout.max_new_tokens ", rollout.max_new_tokens,
                                         ": every completion would cost"));
  }
  if (config.data.order == data::Order::kUncertain && !config.data.shuffle) {
    throw base::ConfigError(
        "data.order: uncertain contradicts data.shuffle: false, the older words for data.order: file; leave one of "
        "them out");
  }
  if (config.eval.every_steps > 0 && config.eval.data.empty()) {
    throw base::ConfigError(
        "eval.every_steps is set but eval.data names no file; set eval.every_steps: 0 to turn evaluation off");
  }
  if (rollout.max_total_tokens && *rollout.max_total_tokens <= rollout.max_new_tokens) {
    throw base::ConfigError(base::concat("rollout.max_total_tokens ", *rollout.max_total_tokens,
                                         " leaves no room for a prompt beside rollout.max_new_tokens ",
                                         rollout.max_new_tokens));
  }
  if (config.run.name.empty() || config.run.name.find('/') != std::string::npos) {
    throw base::ConfigError("run.name: must be one folder name, not empty and without /");
  }
}

}  // namespace grpo::trainer
