#include "grpo/trainer/eval_run.h"

#include <ATen/Parallel.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/hash.h"
#include "grpo/io/json.h"
#include "grpo/metrics/timer.h"
#include "grpo/models/device.h"
#include "grpo/trainer/policy.h"
#include "trainer/load_prompts.h"
#include "trainer/plan.h"
#include "trainer/sampling_numbers.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

fs::path report_path(const EvalRun& run) { return fs::path(run.output) / "eval.json"; }
fs::path answers_path(const EvalRun& run, const std::string& set) { return fs::path(run.output) / (set + ".jsonl"); }

// A set's results have its name, so that in the folder of the problems they would take their place.
void refuse_to_replace(const std::string& problems, const fs::path& output) {
  std::error_code missing;
  if (!fs::equivalent(problems, output, missing)) return;
  throw base::ConfigError(base::concat("--output: ", output.string(), " would take the place of the problems in ",
                                       problems, "; name another folder"));
}

std::vector<EvalSet> load_sets(const Policy& policy, const EvalRun& run) {
  std::vector<EvalSet> sets;
  const auto judge = reward::judge_of(run.reward, run.eval.judge);
  const auto files = resolve_files(run.files, "", "--data");
  const auto names = names_of_sets(files, "--data");
  for (const auto& file : files) {
    refuse_to_replace(file, report_path(run));
    for (const auto& name : names) refuse_to_replace(file, answers_path(run, name));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    sets.push_back({.name = names[i],
                    .prompts = load_prompts(policy, run.data, {files[i]}, run.data.max_prompt_tokens, "--data",
                                            reward::needs_whole_rows(judge))});
    check_golds(sets.back().prompts, judge, "--data", reward::gold_use(judge));
  }
  return sets;
}

nlohmann::json to_json(const Interval& interval) { return {interval.low, interval.high}; }

nlohmann::ordered_json to_json(const EvalResult& result, size_t problems) {
  nlohmann::ordered_json pass, pass_ci;
  for (size_t i = 0; i < result.pass_curve.size(); ++i) {
    const auto k = std::to_string(result.pass_curve[i].first);
    pass[k] = result.pass_curve[i].second;
    pass_ci[k] = to_json(result.pass_intervals[i]);
  }
  nlohmann::ordered_json json{{"name", result.name},
                              {"problems", problems},
                              {"samples", result.samples},
                              {"mean", result.mean_at_k},
                              {"ci_low", result.mean_interval.low},
                              {"ci_high", result.mean_interval.high},
                              {"pass", pass},
                              {"pass_ci", pass_ci},
                              {"maj", result.maj_at_k},
                              {"maj_ci", to_json(result.maj_interval)},
                              {"truncated", result.truncated}};
  if (result.greedy) json.update({{"greedy", *result.greedy}, {"greedy_ci", to_json(result.greedy_interval)}});
  if (result.value) json.update({{"value", *result.value}, {"value_ci", to_json(result.value_interval)}});
  return json;
}

// Adapters lie in a folder of their own, apart from the weights that they belong to, so both are hashed.
std::string hash_of_weights(const fs::path& folder) {
  const auto hash = hash_model_folder(folder);
  if (!models::is_adapter_folder(folder)) return hash;
  return io::hash_bytes(hash + hash_model_folder(models::base_folder(folder)));
}

// Everything that completions depend on besides prompt, data set and sample number. Its hash names the answer store.
nlohmann::ordered_json description_of(const EvalRun& run, const Policy& policy) {
  nlohmann::ordered_json json{{"weights", hash_of_weights(run.model.path)},
                              {"dtype", models::dtype_name(policy.model->dtype())}};
  for_each_number(run.eval.sampling, [&](const std::string& name, auto value) { json[name] = value; });
  json["max_new_tokens"] = *run.eval.max_new_tokens;
  json["stop_ids"] = policy.stop_ids;
  json["seed"] = run.seed;
  return json;
}

}  // namespace

std::vector<EvalResult> run_eval(const EvalRun& run) {
  GRPO_CHECK(run.eval.max_new_tokens.has_value(), "max_new_tokens");
  at::set_num_threads(num_threads(run.threads));
  const Policy policy = load_policy(run.model, run.stop_ids);
  const auto sets = load_sets(policy, run);
  rollout::Engine engine(*policy.model,
                         {.max_sequences = rollout::auto_max_sequences(policy.model->device().is_cuda())});
  fs::create_directories(run.output);
  auto report = description_of(run, policy);
  const fs::path answers_folder = run.answers.empty() ? fs::path(run.output) / "answers" : fs::path(run.answers);
  AnswerStore answers(answers_folder, io::hash_bytes(report.dump()));
  const auto judging = reward::judge_of(run.reward, run.eval.judge);
  const auto judge = reward::make_reward(judging);
  const EvalContext context{.engine = &engine,
                            .tokenizer = policy.tokenizer.get(),
                            .generation = {.sampling = run.eval.sampling,
                                           .max_new_tokens = *run.eval.max_new_tokens,
                                           .stop_ids = policy.stop_ids},
                            .samples = run.eval.samples,
                            .greedy = run.eval.greedy,
                            .seed = static_cast<uint64_t>(run.seed),
                            .should_stop = run.should_stop,
                            .on_progress = run.on_progress,
                            .judge = judge.get(),
                            .graded = reward::uses_graders(judging),
                            .answers = &answers};
  std::vector<fs::path> outputs;
  for (const EvalSet& set : sets) outputs.push_back(answers_path(run, set.name));
  const metrics::Timer timer;
  const auto results = evaluate(sets, context, outputs);
  if (results.empty()) return results;
  report.update({{"model", run.model.path},
                 {"files", run.files},
                 {"samples", run.eval.samples},
                 {"time_s", timer.seconds()},
                 {"sampled_tokens", engine.stats().completion_tokens}});
  for (size_t s = 0; s < sets.size(); ++s) report["sets"].push_back(to_json(results[s], sets[s].prompts.size()));
  io::write_json(report_path(run), report, 1);
  return results;
}

}  // namespace grpo::trainer
