// Prepares the process for a run, and starts it.
#include "grpo/trainer/train.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <cstdlib>
#include <optional>

#include "grpo/config/config.h"
#include "grpo/update/token_budget.h"
#include "trainer/fork.h"
#include "trainer/load_prompts.h"
#include "trainer/loop.h"
#include "trainer/plan.h"
#include "trainer/resume_rules.h"
#include "trainer/run_start.h"
#include "trainer/stopping.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

// To be called before anything runs on the device, since cuBLAS reads its setting once.
void set_deterministic(bool deterministic) {
  auto& context = at::globalContext();
  context.setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
  context.setDeterministicCuDNN(deterministic);
  context.setDeterministicFillUninitializedMemory(false);
  // cuBLAS adds up the parts of a product in a fixed order only if its workspace has a fixed size.
  if (deterministic) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
}

}  // namespace

Outcome train(TrainConfig config, const TrainOptions& options) {
  forget_signals();
  resolve_paths(config, options.config_folder);
  at::set_num_threads(num_threads(config.trainer.threads));
  set_deterministic(config.trainer.deterministic);
  update::throw_when_memory_runs_out();
  const auto communicator = dist::make_communicator(config.distributed);
  const std::string resume = options.fork.empty() ? options.resume : resume_of_fork(config.run, options.fork);
  check_fork_begun(config.run, resume);
  RunStart start(config.run, resume, *communicator);
  std::optional<Fork> fork;
  if (start.checkpoint()) {
    const bool own = resume == "auto";
    const fs::path saved =
        own ? start.folder() / "config.yaml" : start.checkpoint()->parent_path().parent_path() / "config.yaml";
    const auto changes = changed_keys(saved, config, !own);
    const bool forks = !options.fork.empty() && !own;
    if (forks) fork = Fork{.checkpoint = *start.checkpoint(), .changes = changes};
    if (!forks) refuse_changes(changes, *start.checkpoint());
  }
  return Loop(config, start, fork, *communicator, options.profile).run();
}

std::string describe_plan(TrainConfig config, const TrainOptions& options, int64_t ranks,
                          std::optional<double> memory_gb, const PlanAssumptions& assumptions) {
  if (assumptions.rows) config.data.train.clear();
  resolve_paths(config, options.config_folder);
  return plan_text(config, ranks, memory_gb, assumptions);
}

int64_t request_stop() { return note_signal(); }

}  // namespace grpo::trainer
