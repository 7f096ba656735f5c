#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/exit_code.h"
#include "app/sampling_flags.h"
#include "app/stop_signals.h"
#include "grpo/base/error.h"
#include "grpo/metrics/console.h"
#include "grpo/metrics/timer.h"
#include "grpo/trainer/eval_run.h"

namespace grpo::app {
namespace {

struct Options {
  trainer::EvalRun run;
  int64_t max_new_tokens = 4096;
};

void check(const Options& options) {
  const auto& eval = options.run.eval;
  app::check(SamplingFlags{.samples = eval.samples,
                           .temperature = eval.temperature,
                           .top_p = eval.top_p,
                           .top_k = eval.top_k,
                           .max_new_tokens = options.max_new_tokens});
}

std::atomic<bool> stop_requested = false;

// The first signal ends the run in order, its answers kept; a second one ends at once.
void on_signal(int number) {
  stop_requested = true;
  std::signal(number, SIG_DFL);
}

/// A line on stderr now and then: an evaluation of a real model takes hours.
class ProgressLines {
 public:
  void operator()(const trainer::EvalProgress& progress) {
    if (first_done_ < 0) first_done_ = progress.done;  // answers of an earlier run took no time
    if (timer_.seconds() < next_s_ || progress.done == progress.total) return;
    next_s_ = timer_.seconds() + kBetweenLines_s;
    const auto sampled = static_cast<double>(progress.done - first_done_);
    const double left_s =
        timer_.seconds() * static_cast<double>(progress.total - progress.done) / std::max(sampled, 1.0);
    const bool known =
        sampled > 0.1 * static_cast<double>(progress.total);  // the first completions end together, and late
    std::fprintf(stderr, "%lld of %lld completions%s\n", static_cast<long long>(progress.done),
                 static_cast<long long>(progress.total),
                 known ? (", about " + metrics::duration(left_s) + " left").c_str() : "");
  }

 private:
  static constexpr double kBetweenLines_s = 10.0;
  metrics::Timer timer_;  // from the first completion on
  int64_t first_done_ = -1;
  double next_s_ = kBetweenLines_s;
};

void print_figure(const std::string& what, double value, const trainer::Interval& interval) {
  std::printf("  %-10s %6.2f %%  [%.2f, %.2f]\n", what.c_str(), 100.0 * value, 100.0 * interval.low,
              100.0 * interval.high);
}

void print(const std::vector<trainer::EvalResult>& results) {
  for (const auto& result : results) {
    const std::string k = "@" + std::to_string(result.samples);
    std::printf("%s: %lld completions cut at the length limit; 95 %% intervals over problems\n", result.name.c_str(),
                static_cast<long long>(result.truncated));
    print_figure("mean" + k, result.mean_at_k, result.mean_interval);
    for (size_t i = 1; i < result.pass_curve.size(); ++i) {
      print_figure("pass@" + std::to_string(result.pass_curve[i].first), result.pass_curve[i].second,
                   result.pass_intervals[i]);
    }
    print_figure("maj" + k, result.maj_at_k, result.maj_interval);
    if (result.greedy) print_figure("greedy", *result.greedy, result.greedy_interval);
  }
}

void run(Options& options) {
  check(options);
  options.run.eval.max_new_tokens = options.max_new_tokens;
  options.run.on_progress = [lines = std::make_shared<ProgressLines>()](const auto& progress) { (*lines)(progress); };
  options.run.should_stop = [] { return stop_requested.load(std::memory_order_relaxed); };
  handle_stop_signals(on_signal);
  const auto results = trainer::run_eval(options.run);
  if (results.empty()) {
    std::fprintf(stderr, "stopped by a signal; the same command goes on with the answers so far\n");
    return set_exit_code(kStopped);
  }
  print(results);
  std::printf("%s/eval.json\n", options.run.output.c_str());
}

}  // namespace

void add_eval(CLI::App& app) {
  auto* command = app.add_subcommand("eval", "Evaluate a model: mean@k, pass@k, maj@k with bootstrap intervals");
  auto options = std::make_shared<Options>();
  trainer::EvalRun& run_options = options->run;
  run_options.eval.samples = 32;  // with the other defaults the protocol of arXiv 2510.00977
  command->add_option("--model", run_options.model.path, "Hugging Face model folder")->required();
  command
      ->add_option(
          "--data", run_options.files,
          "problem files (.jsonl, .json, .csv, .parquet, also compressed), folders or patterns; each file is one set")
      ->required();
  command->add_option("--output", run_options.output, "folder for eval.json, one JSONL per set, and answers/")
      ->required();
  command->add_option("--answers", run_options.answers,
                      "folder of the sampled answers, kept by a hash of weights and sampling, if it shall be shared by "
                      "several evaluations; default: answers/ in the output folder");
  command->add_option("--samples", run_options.eval.samples, "completions a problem (k)")->capture_default_str();
  command->add_option("--temperature", run_options.eval.temperature, "0 is greedy")->capture_default_str();
  command->add_option("--top-p", run_options.eval.top_p, "nucleus sampling")->capture_default_str();
  command->add_option("--top-k", run_options.eval.top_k, "keep the k most likely tokens; 0 is off")
      ->capture_default_str();
  command->add_flag("--greedy", run_options.eval.greedy, "one more completion a problem at temperature 0");
  command->add_option("--max-new-tokens", options->max_new_tokens, "longest completion")->capture_default_str();
  command
      ->add_option("--template", run_options.model.chat_template.text,
                   "prompt template, as model.template of a configuration")
      ->capture_default_str();
  command->add_option("--seed", run_options.seed, "of the sampling")->capture_default_str();
  command->add_option("--dtype", run_options.model.dtype, "auto, float32 or bfloat16")->capture_default_str();
  command->add_option("--device", run_options.model.device, "auto, cpu or cuda")->capture_default_str();
  command->add_option("--threads", run_options.threads, "CPU threads; 0: the cores this process may use")
      ->capture_default_str();
  command->add_option("--prompt-key", run_options.data.prompt_key, "key of the problem's text")->capture_default_str();
  command->add_option("--answer-key", run_options.data.answer_key, "key of the gold answer")->capture_default_str();
  command->add_option("--system", run_options.data.system, "system message: auto, none, or a text (data.system)")
      ->capture_default_str();
  command->add_option("--max-prompt-tokens", run_options.data.max_prompt_tokens, "longer prompts are left out")
      ->capture_default_str();
  command
      ->add_option("--max-bad-golds", run_options.reward.max_bad_golds,
                   "share of gold answers that may be missing or reward no right completion")
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace grpo::app
