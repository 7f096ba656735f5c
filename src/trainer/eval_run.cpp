#include "grpo/trainer/eval_run.h"

#include <ATen/Parallel.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/metrics/timer.h"
#include "grpo/models/device.h"
#include "grpo/trainer/policy.h"
#include "trainer/load_prompts.h"
#include "trainer/plan.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

std::vector<EvalSet> load_sets(const Policy& policy, const EvalRun& run) {
  std::vector<EvalSet> sets;
  std::set<std::string> names;
  for (const auto& file : run.files) {
    const std::string name = fs::path(file).stem().string();
    if (!names.insert(name).second) {
      throw base::ConfigError(base::concat("--data: two files are called ", name, "; results are named by the file, so rename one"));
    }
    sets.push_back({.name = name, .prompts = load_prompts(policy, run.data, {file}, run.data.max_prompt_tokens, "--data")});
    check_golds(sets.back().prompts, run.reward, "--data");
  }
  return sets;
}

nlohmann::ordered_json to_json(const EvalResult& result, int64_t problems, double seconds) {
  nlohmann::ordered_json pass;
  for (const auto& [k, value] : result.pass_curve) pass[std::to_string(k)] = value;
  return {{"name", result.name},
          {"problems", problems},
          {"samples", result.samples},
          {"mean", result.mean_at_k},
          {"ci_low", result.ci_low},
          {"ci_high", result.ci_high},
          {"pass", pass},
          {"maj", result.maj_at_k},
          {"truncated", result.truncated},
          {"time_s", seconds}};
}

nlohmann::ordered_json settings_of(const EvalRun& run, const Policy& policy) {
  return {{"model", run.model.path},
          {"dtype", models::dtype_name(policy.model->dtype())},
          {"files", run.files},
          {"samples", run.eval.samples},
          {"temperature", run.eval.temperature},
          {"top_p", run.eval.top_p},
          {"top_k", run.eval.top_k},
          {"max_new_tokens", run.eval.max_new_tokens.value_or(0)},
          {"stop_ids", policy.stop_ids},
          {"seed", run.seed}};
}

}  // namespace

std::vector<EvalResult> run_eval(const EvalRun& run) {
  GRPO_CHECK(run.eval.max_new_tokens.has_value(), "max_new_tokens");
  at::set_num_threads(num_threads(run.threads));
  const Policy policy = load_policy(run.model, run.stop_ids);
  const auto sets = load_sets(policy, run);
  rollout::Engine engine(*policy.model, {});
  fs::create_directories(run.output);
  auto report = settings_of(run, policy);
  report["sets"] = nlohmann::json::array();
  std::vector<EvalResult> results;
  for (const EvalSet& set : sets) {
    const EvalContext context{.engine = &engine,
                              .tokenizer = policy.tokenizer.get(),
                              .sampling = {.temperature = run.eval.temperature,
                                           .top_p = run.eval.top_p,
                                           .top_k = run.eval.top_k,
                                           .max_new_tokens = *run.eval.max_new_tokens,
                                           .stop_ids = policy.stop_ids,
                                           .ignore_eos = false},
                              .samples = run.eval.samples,
                              .seed = static_cast<uint64_t>(run.seed),
                              .should_stop = {},
                              .verifier = reward::verifier_config(run.reward.verifier)};
    metrics::Timer timer;
    results.push_back(evaluate(set, context, fs::path(run.output) / (set.name + ".jsonl")));
    report["sets"].push_back(to_json(results.back(), static_cast<int64_t>(set.prompts.size()), timer.seconds()));
    base::log_info(base::concat(set.name, ": ", set.prompts.size(), " problems, ", run.eval.samples, " samples each, ", timer.seconds(), " s"));
  }
  io::write_json(fs::path(run.output) / "eval.json", report, 1);
  return results;
}

}  // namespace grpo::trainer
