#include "trainer/resume.h"

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/checkpoint/run_state.h"
#include "grpo/io/json_errors.h"
#include "grpo/optim/schedule.h"
#include "trainer/resume_rules.h"
#include "trainer/run_inputs.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

// Checks that the content of the files that the run reads is what it was, wherever they lie now. A fork only notes what
// has changed.
void compare_inputs(Run& run, const nlohmann::json& state, const fs::path& checkpoint, std::optional<Fork>& fork) {
  const auto saved = state.value("inputs", nlohmann::json());
  const auto changes = changed_inputs(saved, run.inputs);
  if (!fork) refuse_changes(changes, checkpoint);
  if (fork) fork->changes.insert(fork->changes.end(), changes.begin(), changes.end());
  // The method keeps accuracies for rows of the problems. For other problems they are of no use.
  if (saved.is_object() && saved.at("problems") != run.inputs.at("problems")) run.method->forget_problems();
  if (!run.writes()) return;
  for (const auto& name : changed_eval_sets(saved, run.inputs)) {
    base::log_warning(
        "eval.data: the problems of " + name +
        " are not those of the earlier evaluations of this run: the figures before and after do not compare");
  }
}

// Refuses a fork to a method that carries from step to step what the checkpoint's method does not have.
void check_method(const Run& run, const nlohmann::json& state, const fs::path& checkpoint) {
  const bool samples = !learns_written_texts(run.config.algorithm);
  const bool sampled = state.contains("rollouts_total");
  const bool lacks_critic = run.critic && !fs::exists(checkpoint / kCriticFolder);
  if (samples == sampled && !lacks_critic) return;
  throw base::ConfigError(base::concat(
      "algorithm.method: ", checkpoint.string(), " is of a run ",
      samples != sampled ? (sampled ? "that samples completions" : "that learns from written texts")
                         : "without a critic",
      ", which a run of this method cannot go on from; begin it with model.path: ", (checkpoint / "model").string(),
      " in place of --fork"));
}

// Warns where the learning rate jumps because it falls towards the run's end and the end has moved.
void warn_schedule(const Run& run, const nlohmann::json& state) {
  const TrainConfig& config = run.config;
  const int64_t planned = state.value("total_steps", run.total_steps);
  const int64_t updates = config.trainer.updates_per_step * config.trainer.epochs_per_step;
  const int64_t next = state.at("step").get<int64_t>() * updates;
  const double before = optim::lr_factor(config.optimizer, next, planned * updates);
  const double now = optim::lr_factor(config.optimizer, next, run.total_steps * updates);
  if (!run.writes() || before == now) return;
  base::log_warning(base::concat("optimizer.schedule falls to the run's end, which was step ", planned, " and is now ",
                                 run.total_steps, ": the learning rate of the next update is ",
                                 now * config.optimizer.lr, " where it would have been ",
                                 before * config.optimizer.lr));
}

}  // namespace

nlohmann::json state_of(const Run& run, int64_t step, const metrics::MetricsLine& line, bool evaluated) {
  auto values = nlohmann::json::array();
  for (const auto& [name, value] : line.values()) values.push_back({name, value});
  nlohmann::json state = {{"format", 1},         {"step", step},           {"seed", run.config.run.seed},
                          {"line", values},      {"evaluated", evaluated}, {"total_steps", run.total_steps},
                          {"inputs", run.inputs}};
  run.method->save(state);
  return state;
}

metrics::MetricsLine line_from(const nlohmann::json& state) {
  metrics::MetricsLine line;
  for (const auto& entry : state.at("line")) line.add(entry.at(0).get<std::string>(), entry.at(1).get<double>());
  return line;
}

std::string not_a_state(const fs::path& checkpoint) {
  return checkpoint.string() + ": its state.json is not that of a run";
}

nlohmann::json restore(Run& run, const fs::path& checkpoint, std::optional<Fork>& fork) {
  const auto state = checkpoint::read_state_json(checkpoint);
  io::with_json_errors<base::CheckpointError>(not_a_state(checkpoint), [&] {
    line_from(state);  // only to throw if it cannot be read, before anything is restored
    if (fork) check_method(run, state, checkpoint);
    run.method->restore(state);
    compare_inputs(run, state, checkpoint, fork);
    warn_schedule(run, state);
    checkpoint::read_run_state(checkpoint, *run.policy.model, *run.optimizer, run.reference.get());
    if (run.critic) checkpoint::read_run_state(checkpoint / kCriticFolder, *run.critic, *run.critic_optimizer);
  });
  run.policy.model->release_sampling_weights();
  base::log_info(base::concat("resumed at step ", state.at("step").get<int64_t>(), " from ", checkpoint.string()));
  return state;
}

}  // namespace grpo::trainer
