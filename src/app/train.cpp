#include "grpo/trainer/train.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/exit_code.h"
#include "app/local_ranks.h"
#include "app/stop_signals.h"
#include "grpo/base/error.h"
#include "grpo/config/config.h"
#include "grpo/dist/launch.h"
#include "grpo/kernels/cuda.h"
#include "grpo/models/device.h"

namespace grpo::app {
namespace {

struct TrainOptions {
  std::string config;
  std::vector<std::string> overrides;
  std::string resume = "auto";
  std::string output;
  std::optional<std::string> nproc;
  bool print_config = false;
  bool help_config = false;
  bool markdown = false;
  bool profile = false;
  bool dry_run = false;
  std::optional<int64_t> gpus;
  std::optional<double> gpu_memory;
  std::string fork;
  trainer::PlanAssumptions assumptions;
};

// The first signal asks for a checkpoint and an orderly end, the second drops the step under way, and the third kills.
void on_signal(int number) {
  if (trainer::request_stop() >= 2) std::signal(number, SIG_DFL);
}

// Called when run_local_ranks tells this process that another rank has died.
void on_death(int, siginfo_t* info, void*) { dist::note_death(info->si_value.sival_int); }

void listen_for_deaths() {
  struct sigaction action {};
  action.sa_sigaction = on_death;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  sigaction(death_signal(), &action, nullptr);
}

// The number of ranks that --nproc asks for; auto means one for each GPU that this run would use.
int64_t num_local_ranks(const std::string& nproc, models::DeviceChoice device) {
  if (nproc == "auto") return models::resolve_device(device).is_cuda() ? kernels::cuda_device_count() : 1;
  int64_t count = 0;
  const auto [end, error] = std::from_chars(nproc.data(), nproc.data() + nproc.size(), count);
  if (error != std::errc() || end != nproc.data() + nproc.size() || count < 1 || count > 1024) {
    throw base::ConfigError("--nproc " + nproc + ": expected auto or a number from 1 to 1024");
  }
  return count;
}

// Every flag that would have no effect is refused.
void check(const TrainOptions& options) {
  if (!options.fork.empty() && options.resume != "auto") {
    throw base::ConfigError("--fork and --resume " + options.resume +
                            " exclude each other: a fork goes on from the checkpoint it names");
  }
  const bool assumes = options.assumptions.rows.has_value() || !options.assumptions.shape.empty();
  const bool plans_for = options.gpus.has_value() || options.gpu_memory.has_value();
  if ((assumes || plans_for) && !options.dry_run) {
    throw base::ConfigError(
        "--rows, --shape, --gpus and --gpu-memory are assumptions of a plan; they need --dry-run. --nproc or a "
        "launcher "
        "starts several ranks");
  }
  if (options.nproc && options.gpus)
    throw base::ConfigError("--nproc and --gpus exclude each other: both say for how many ranks to plan");
  if (options.profile && options.dry_run)
    throw base::ConfigError("--profile records a run's second step, and --dry-run runs none");
}

// --help-config and --print-config print what other flags ask for nothing of.
void check_alone(const TrainOptions& options) {
  if (options.markdown && !options.help_config) throw base::ConfigError("--markdown needs --help-config");
  if (int{options.help_config} + int{options.print_config} + int{options.dry_run} > 1)
    throw base::ConfigError("--help-config, --print-config and --dry-run exclude each other");
}

bool trains(const TrainOptions& options) { return !options.help_config && !options.print_config && !options.dry_run; }

void run_train(const TrainOptions& options) {
  if (trains(options)) block_stop_signals();
  check_alone(options);
  trainer::TrainConfig config;
  if (options.help_config) {
    const auto fields = base::fields_of(config);
    std::fputs((options.markdown ? config::to_markdown(fields) : config::help_text(fields)).c_str(), stdout);
    return;
  }
  if (options.config.empty()) throw base::ConfigError("--config FILE is missing (try configs/quickstart_2grpo.yaml)");
  const auto file = config::find_config(options.config);
  config::load(base::fields_of(config), {.file = file, .overrides = options.overrides});
  if (!options.output.empty()) config.run.output = options.output;  // a path, whatever it would mean in YAML
  trainer::validate(config);
  if (options.print_config) {
    std::fputs(config::to_yaml(base::fields_of(config)).c_str(), stdout);
    return;
  }
  check(options);
  if (!options.dry_run) trainer::validate_inputs(config);
  const trainer::TrainOptions train_options{.resume = options.resume,
                                            .fork = options.fork,
                                            .config_folder = file.parent_path().string(),
                                            .profile = options.profile};
  const int64_t ranks = options.nproc ? num_local_ranks(*options.nproc, config.model.device) : options.gpus.value_or(1);
  if (ranks > 1 && config.distributed.backend == dist::Backend::kSingle) {
    throw base::ConfigError(base::concat("distributed.backend: single lets each process train a run of its own, but ",
                                         options.nproc ? "--nproc" : "--gpus", " asks for ", ranks,
                                         " ranks of one run; use auto"));
  }
  if (options.dry_run) {
    std::fputs(trainer::describe_plan(config, train_options, ranks, options.gpu_memory, options.assumptions).c_str(),
               stdout);
    return;
  }
  if (!is_local_rank()) {
    const bool label = config.logging.console != metrics::ConsoleMode::kJson;  // a label would make lines no JSON
    if (ranks > 1) return set_exit_code(run_local_ranks(ranks, label));
  } else {
    listen_for_deaths();
    name_rank(dist::ranks_from(dist::process_environment()).rank);
  }
  handle_stop_signals(on_signal);
  if (trainer::train(config, train_options) == trainer::Outcome::kStopped) set_exit_code(kStopped);
}

}  // namespace

void add_train(CLI::App& app) {
  auto* command = app.add_subcommand("train", "Train a policy: sample, verify, take the policy-gradient step");
  auto options = std::make_shared<TrainOptions>();
  command->add_option("--config", options->config, "YAML file, looked up as given, then in configs/");
  command->add_option("overrides", options->overrides, "key=value, e.g. optimizer.lr=1e-6 rollout.group_size=16");
  command->add_option("--resume", options->resume,
                      "auto (newest checkpoint of this run), never, or a checkpoint folder");
  command->add_option("--fork", options->fork,
                      "a checkpoint folder that a new run (another run.name) goes on from, with whatever other values");
  command->add_option("--output", options->output, "folder that holds the runs (run.output)");
  command->add_option("--nproc", options->nproc,
                      "ranks to start on this machine: a number (default 1), or auto (one for each GPU)");
  command->add_flag("--print-config", options->print_config, "print the resolved configuration and stop");
  command->add_flag("--help-config", options->help_config, "print every configuration key and stop");
  command->add_flag("--markdown", options->markdown, "with --help-config: as docs/config.md");
  command->add_flag("--profile", options->profile,
                    "record the second step as a trace for chrome://tracing or Perfetto, in RUN/profile");
  command->add_flag("--dry-run", options->dry_run, "print what would be done and stop");
  command->add_option("--gpus", options->gpus, "with --dry-run: ranks to plan for (default 1)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--gpu-memory", options->gpu_memory, "with --dry-run: GB of each GPU to plan for")
      ->check(CLI::PositiveNumber);
  command
      ->add_option("--rows", options->assumptions.rows,
                   "with --dry-run: problems of data.train, which then need not be here")
      ->check(CLI::Range(1, 1 << 30));
  command->add_option(
      "--shape", options->assumptions.shape,
      "with --dry-run: 0.5b, 1.5b, 3b, 7b, 14b, 32b (Qwen2.5's sizes) or a config.json, in place of model.path");
  command->callback([options] { run_train(*options); });
}

}  // namespace grpo::app
