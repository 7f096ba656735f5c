#include "trainer/time_plan.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/io/json_errors.h"
#include "grpo/metrics/timer.h"
#include "grpo/nn/prepacked_linear.h"
#include "trainer/group_sizes.h"
#include "trainer/mean.h"

namespace grpo::trainer {
namespace {

template <typename F>
double best_seconds(int times, const F& work) {
  work();  // the first time also pays for threads and pages, and is not measured
  double best = 1e9;
  for (int i = 0; i < times; ++i) {
    const metrics::Timer timer;
    work();
    best = std::min(best, timer.seconds());
  }
  return best;
}

}  // namespace

DeviceRates measure_cpu(at::ScalarType dtype) {
  constexpr int64_t kRows = 256, kSize = 1024, kFloats = int64_t{16} << 20;
  const at::NoGradGuard no_grad;
  const auto rows = at::ones({kRows, kSize}, dtype);
  const auto weight = nn::prepack_linear(at::ones({kSize, kSize}, dtype));
  const auto memory = at::ones({kFloats}, at::kFloat);
  const double product = best_seconds(5, [&] { nn::prepacked_linear(rows, weight, {}); });
  const double read = best_seconds(3, [&] { memory.sum(); });
  DeviceRates rates{.flops = 2.0 * kRows * kSize * kSize / product,
                    .bytes = 4.0 * kFloats / read,
                    .inside_host = 1e9,
                    .between_hosts = 1e9,
                    .source = {}};
  char text[128];
  std::snprintf(text, sizeof text, "measured now: %.0f GFLOP/s, %.0f GB/s; assumed: 1 GB/s to other ranks",
                rates.flops / 1e9, rates.bytes / 1e9);
  rates.source = text;
  return rates;
}

DeviceRates assumed_gpu() {
  return {
      .flops = 300e12,
      .bytes = 3e12,
      .inside_host = 300e9,
      .between_hosts = 40e9,
      .ranks_per_host = 8,
      .source = "assumed for each GPU: 300 TFLOP/s, 3 TB/s, 8 a host, 300 GB/s to GPUs of its host, 40 GB/s to others"};
}

namespace {

// What the rank that has most to do does in a step, in whole prompts and rollouts.
struct Load {
  double prompts = 0.0;
  double sampled = 0.0;   // rollouts that it samples
  double trained = 0.0;   // rollouts that it trains
  double together = 0.0;  // sequences decoded at a time
  double prompt_tokens = 0.0;
  double completion_tokens = 0.0;  // of a completion of full length
  double tokens() const { return prompt_tokens + completion_tokens; }
};

Load load_of(const TrainConfig& config, int64_t ranks, bool cuda) {
  const auto share = [ranks](int64_t count) { return static_cast<double>((count + ranks - 1) / ranks); };
  const RolloutConfig& rollout = config.rollout;
  Load load{.prompts = share(rollout.prompts_per_step),
            .trained = share(rollout.prompts_per_step * first_size(rollout))};
  load.sampled = load.prompts * static_cast<double>(first_size(rollout));
  load.together = std::min(static_cast<double>(decoded_together(rollout, cuda)), load.sampled);
  load.prompt_tokens = static_cast<double>(config.data.max_prompt_tokens);
  load.completion_tokens = static_cast<double>(rollout.max_new_tokens);
  return load;
}

struct DecodeStep {
  double read_weights_s = 0.0;
  double read_cache_s = 0.0;
  double multiply_s = 0.0;
  double read_s() const { return read_weights_s + read_cache_s; }
  double seconds() const { return std::max(read_s(), multiply_s); }
};

DecodeStep decode_step(const models::ModelConfig& model, const Load& load, double b, const DeviceRates& rates) {
  const auto n = static_cast<double>(model.num_parameters());
  const double token = 2.0 * static_cast<double>(model.num_layers * model.num_kv_heads * model.head_dim) * b;
  const double cache = load.together * (load.prompt_tokens + load.completion_tokens / 2.0) * token;
  return {.read_weights_s = n * b / rates.bytes,
          .read_cache_s = cache / rates.bytes,
          .multiply_s = 2.0 * n * load.together / rates.flops};
}

// For each token a weight costs a multiplication and an addition in the forward pass, as many where a gradient passes
// through it, and as many for its own gradient.
double operations_per_trained_token(const TrainConfig& config, double n, const models::TrainedElements& trained) {
  const int64_t updates = config.trainer.updates_per_step * config.trainer.epochs_per_step;
  const bool old_pass =
      updates > 1 && !compares_groups(config.algorithm) && config.algorithm.old_logprobs == OldLogProbs::kTrainer;
  const double update = 2.0 * n + 2.0 * trained.passed + 2.0 * trained.all;
  const double critic = has_critic(config.algorithm) ? 6.0 * n : 0.0;  // all of a critic is trained
  const double passes_without_gradient = (old_pass ? 1.0 : 0.0) + (holds_reference(config.algorithm) ? 1.0 : 0.0) +
                                         (has_critic(config.algorithm) ? 1.0 : 0.0);  // the critic's values
  return (update + critic) * static_cast<double>(config.trainer.epochs_per_step) + passes_without_gradient * 2.0 * n;
}

// The tokens that the rank trains: of all rollouts at full length, less the prompts that are computed once for a group.
double trained_tokens(const TrainConfig& config, const Load& load) {
  const double alone = load.trained * load.tokens();
  const int64_t group = first_size(config.rollout);
  const auto share = config.trainer.share_prompts;
  if (share == update::SharePrompts::kFalse || config.model.lora.dropout > 0.0 || load.trained < 2.0) return alone;
  const bool pays = update::sharing_pays(static_cast<int64_t>(load.prompt_tokens), group,
                                         group * static_cast<int64_t>(load.tokens()));
  if (share == update::SharePrompts::kAuto && !pays) return alone;
  return alone - load.trained * (1.0 - 1.0 / static_cast<double>(group)) * load.prompt_tokens;
}

// The number of micro-batches in one update, on the rank that has most.
int64_t micro_batches(const TrainConfig& config, const Load& load, int64_t micro_batch_tokens) {
  const double tokens = trained_tokens(config, load) / static_cast<double>(config.trainer.updates_per_step);
  return static_cast<int64_t>(std::ceil(tokens / static_cast<double>(micro_batch_tokens)));
}

// What one rank sends: ids, log-probs and texts of all completions travel from rank to rank until every rank has them.
double rollout_bytes(const TrainConfig& config, const Load& load, int64_t ranks) {
  constexpr double kId = 8.0, kLogProb = 4.0, kText = 4.0;  // a token
  const auto rollouts = static_cast<double>(config.rollout.prompts_per_step * first_size(config.rollout));
  return rollouts * load.completion_tokens * (kId + kLogProb + kText) * static_cast<double>(ranks - 1) /
         static_cast<double>(ranks);
}

std::string limit_of(const TimePlan& plan, const Load& load, const DecodeStep& decode) {
  if (plan.communication_s > std::max(plan.rollout_s, plan.update_s))
    return "the network, in the update; more rollouts a step would help";
  if (plan.update_s > plan.rollout_s)
    return load.trained > 1.0 ? "compute, in the update; more ranks would help"
                              : "compute, in the update of one rollout a rank";
  if (decode.multiply_s > decode.read_s()) return "compute, in the rollout; more ranks would help";
  if (load.together < load.sampled)
    return "memory bandwidth, in the rollout; a larger rollout.max_sequences or more ranks would help";
  if (decode.read_cache_s > decode.read_weights_s) return "memory bandwidth, in the rollout; more ranks would help";
  return "the tail, the decode steps of one completion, each reading all weights; more ranks hardly help";
}

}  // namespace

TimePlan plan_time(const models::ModelConfig& model, const TrainConfig& whole, int64_t dtype_bytes,
                   const PlanTarget& target, const DeviceRates& rates) {
  const bool samples = !learns_written_texts(whole.algorithm);
  TrainConfig config = whole;
  // Without sampling an example has its written completions: two of a pair, else one.
  if (!samples) config.rollout.group_size = whole.algorithm.method == MethodKind::kDpo ? 2 : 1;
  const auto n = static_cast<double>(model.num_parameters());
  const auto trained = models::trained_elements(model, config.model.freeze, config.model.lora);
  const int64_t ranks = target.ranks;
  const Load load = load_of(config, ranks, target.cuda);
  const DecodeStep decode = decode_step(model, load, static_cast<double>(dtype_bytes), rates);
  TimePlan plan;
  plan.rollout_s = std::ceil(load.sampled / load.together) * load.completion_tokens * decode.seconds() +
                   2.0 * n * load.prompt_tokens * load.prompts / rates.flops;
  if (!samples) plan.rollout_s = 0.0;
  plan.update_s = operations_per_trained_token(config, n, trained) * trained_tokens(config, load) / rates.flops;
  plan.idle_ranks = std::max<int64_t>(ranks - config.rollout.prompts_per_step, 0);
  if (ranks > 1) {
    const auto memory = plan_memory(model, config, dtype_bytes, target);
    const auto updates = static_cast<double>(config.trainer.updates_per_step * config.trainer.epochs_per_step);
    plan.micro_batches = micro_batches(config, load, memory.micro_batch_tokens);
    plan.rollout_bytes = samples ? rollout_bytes(config, load, ranks) : 0.0;
    plan.update_bytes = updates *
                        update_bytes(trained, memory, config.distributed, config.optimizer.kind, dtype_bytes, ranks,
                                     plan.micro_batches) /
                        static_cast<double>(ranks);
    plan.communication_s = (plan.rollout_bytes + plan.update_bytes) /
                           (ranks > rates.ranks_per_host ? rates.between_hosts : rates.inside_host);
  }
  plan.limit = limit_of(plan, load, decode);
  return plan;
}

namespace {

// Whether a step of this configuration can have sampled as many rollouts.
bool is_possible(double rollouts, const RolloutConfig& config) {
  return rollouts >= static_cast<double>(config.prompts_per_step * first_size(config)) &&
         rollouts <= static_cast<double>(most_rollouts(config));
}

// Reads the next line. What the run is writing right now, or was when it was killed, ends the reading.
bool next_whole(io::JsonlReader& reader, nlohmann::json& line) {
  try {
    return reader.next(line);
  } catch (const base::IoError&) {
    return false;
  }
}

}  // namespace

std::optional<double> measured_step_seconds(const TrainConfig& config) {
  const auto file = std::filesystem::path(config.run.output) / config.run.name / "metrics.jsonl";
  if (!std::filesystem::exists(file)) return {};
  std::vector<double> seconds;
  io::JsonlReader reader(file.string());
  for (nlohmann::json line; next_whole(reader, line);) {
    io::with_json_errors(reader, [&] {
      const double step_s = line.value("time/step", 0.0);  // 0 in a step that a later start completed
      if (is_possible(line.value("rollouts", 0.0), config.rollout) && step_s > 0.0) seconds.push_back(step_s);
    });
  }
  return seconds.empty() ? std::optional<double>() : mean_of(seconds);
}

}  // namespace grpo::trainer
