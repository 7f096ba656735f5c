#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "grpo/base/error.h"
#include "grpo/trainer/eval_run.h"

namespace grpo::app {
namespace {

struct Options {
  trainer::EvalRun run;
  int64_t max_new_tokens = 4096;
};

void check(const Options& options) {
  const auto& eval = options.run.eval;
  if (eval.samples < 1) throw base::ConfigError("--samples must be at least 1");
  if (options.max_new_tokens < 1) throw base::ConfigError("--max-new-tokens must be at least 1");
  if (eval.temperature < 0.0) throw base::ConfigError("--temperature must not be below 0 (0 is greedy)");
  if (eval.top_p <= 0.0 || eval.top_p > 1.0) throw base::ConfigError("--top-p must be above 0 and at most 1");
  if (eval.top_k < 0) throw base::ConfigError("--top-k must not be below 0 (0 is off)");
}

void print(const std::vector<trainer::EvalResult>& results) {
  std::printf("%-24s %8s  %-16s", "set", "mean@k", "95 % interval");
  for (const auto& [k, value] : results.front().pass_curve) std::printf("  pass@%-4lld", static_cast<long long>(k));
  std::printf("  maj@k  truncated\n");
  for (const auto& result : results) {
    std::printf("%-24s %7.2f%%  [%5.2f, %5.2f]  ", result.name.c_str(), 100.0 * result.mean_at_k, 100.0 * result.ci_low,
                100.0 * result.ci_high);
    for (const auto& [k, value] : result.pass_curve) std::printf("  %8.2f%%", 100.0 * value);
    std::printf("  %5.1f  %9lld\n", 100.0 * result.maj_at_k, static_cast<long long>(result.truncated));
  }
}

void run(Options& options) {
  check(options);
  options.run.eval.max_new_tokens = options.max_new_tokens;
  print(trainer::run_eval(options.run));
  std::printf("%s/eval.json\n", options.run.output.c_str());
}

}  // namespace

void add_eval(CLI::App& app) {
  auto* command = app.add_subcommand("eval", "Evaluate a model: mean@k, pass@k, maj@k with bootstrap intervals");
  auto options = std::make_shared<Options>();
  trainer::EvalRun& run_options = options->run;
  command->add_option("--model", run_options.model.path, "Hugging Face model folder")->required();
  command->add_option("--data", run_options.files, "problem files (.jsonl, .json, .parquet), each one set")->required();
  command->add_option("--output", run_options.output, "folder for eval.json and one JSONL per set")->required();
  command->add_option("--samples", run_options.eval.samples, "completions a problem (k)")->capture_default_str();
  command->add_option("--temperature", run_options.eval.temperature, "0 is greedy")->capture_default_str();
  command->add_option("--top-p", run_options.eval.top_p, "nucleus sampling")->capture_default_str();
  command->add_option("--top-k", run_options.eval.top_k, "keep the k most likely tokens; 0 is off")->capture_default_str();
  command->add_option("--max-new-tokens", options->max_new_tokens, "longest completion")->capture_default_str();
  command->add_option("--template", run_options.model.chat_template.text, "prompt template, as model.template of a configuration")
      ->capture_default_str();
  command->add_option("--seed", run_options.seed, "of the sampling")->capture_default_str();
  command->add_option("--dtype", run_options.model.dtype, "auto, float32 or bfloat16")->capture_default_str();
  command->add_option("--device", run_options.model.device, "auto, cpu or cuda")->capture_default_str();
  command->add_option("--threads", run_options.threads, "CPU threads; 0: the cores this process may use")->capture_default_str();
  command->add_option("--prompt-key", run_options.data.prompt_key, "key of the problem's text")->capture_default_str();
  command->add_option("--answer-key", run_options.data.answer_key, "key of the gold answer")->capture_default_str();
  command->add_option("--max-prompt-tokens", run_options.data.max_prompt_tokens, "longer prompts are left out")->capture_default_str();
  command->add_option("--max-bad-golds", run_options.reward.max_bad_golds, "share of gold answers that may not verify against themselves")
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace grpo::app
