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
#include "app/field_flags.h"
#include "app/stop_signals.h"
#include "grpo/base/error.h"
#include "grpo/data/dataset.h"
#include "grpo/metrics/console.h"
#include "grpo/metrics/timer.h"
#include "grpo/trainer/eval_run.h"
#include "grpo/trainer/train.h"

namespace grpo::app {
namespace {

struct EvalOptions {
  trainer::EvalRun run;
  int64_t max_new_tokens = 4096;
  GRPO_FIELDS(f) {
    f("max_new_tokens", max_new_tokens, "longest completion", base::between(1, data::kMostTokens));
    f("seed", run.seed, "of the sampling", base::at_least(0));
    f("threads", run.threads, "CPU threads; 0: the cores this process may use", base::between(0, 1024));
  }
};

std::atomic<bool> stop_requested = false;

// The first signal ends the run in order and keeps its answers; the second one ends it at once.
void on_eval_signal(int number) {
  stop_requested = true;
  trainer::request_stop();  // ends a wait for judges at once
  std::signal(number, SIG_DFL);
}

/// Writes a line to stderr now and then, since an evaluation of a real model takes hours.
class ProgressLines {
 public:
  void operator()(const trainer::EvalProgress& progress) {
    if (first_done_ < 0) first_done_ = progress.done;  // answers of an earlier run took no time
    if (timer_.seconds() < next_s_ || progress.done == progress.total) return;
    next_s_ = timer_.seconds() + kBetweenLines_s;
    const auto sampled = static_cast<double>(progress.done - first_done_);
    const double left_s =
        timer_.seconds() * static_cast<double>(progress.total - progress.done) / std::max(sampled, 1.0);
    // No estimate before a tenth is done: completions that start together end together, and the first ones late.
    const bool known = sampled > 0.1 * static_cast<double>(progress.total);
    std::fprintf(stderr, "%lld of %lld completions%s\n", static_cast<long long>(progress.done),
                 static_cast<long long>(progress.total),
                 known ? (", about " + metrics::duration(left_s) + " left").c_str() : "");
  }

 private:
  static constexpr double kBetweenLines_s = 10.0;
  metrics::Timer timer_;  // runs from the first completion on
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
    if (result.value) {
      std::printf("  %-10s %8.4f  [%.4f, %.4f]\n", "value", *result.value, result.value_interval.low,
                  result.value_interval.high);
    }
  }
}

void run_eval(EvalOptions& options) {
  options.run.eval.max_new_tokens = options.max_new_tokens;
  options.run.on_progress = [lines = std::make_shared<ProgressLines>()](const auto& progress) { (*lines)(progress); };
  options.run.should_stop = [] { return stop_requested.load(std::memory_order_relaxed); };
  handle_stop_signals(on_eval_signal);
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
  auto options = std::make_shared<EvalOptions>();
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
  add_flags(*command, base::fields_of(run_options.eval), {"samples"});
  add_flags(*command, base::fields_of(run_options.eval.sampling));
  add_flags(*command, base::fields_of(run_options.eval), {"greedy", "judge"});
  add_flags(*command, base::fields_of(*options));
  add_flags(*command, base::fields_of(run_options.model), {"template", "dtype", "device"});
  add_flags(*command, base::fields_of(run_options.data), {"prompt_key", "answer_key", "system", "max_prompt_tokens"});
  add_flags(*command, base::fields_of(run_options.reward), {"terms", "max_bad_golds"});
  command->callback([options] { run_eval(*options); });
}

}  // namespace grpo::app
