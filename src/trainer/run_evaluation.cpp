#include "trainer/run_evaluation.h"

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/metrics/timer.h"
#include "trainer/run_folder.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

EvalContext context_of(const Run& run, const std::function<bool()>& should_stop) {
  const TrainConfig& config = run.config;
  return {.engine = run.engine.get(),
          .tokenizer = run.policy.tokenizer.get(),
          .generation = {.sampling = config.eval.sampling,
                         .max_new_tokens = config.eval.max_new_tokens.value_or(config.rollout.max_new_tokens),
                         .stop_ids = run.policy.stop_ids},
          .samples = config.eval.samples,
          .greedy = config.eval.greedy,
          .seed = static_cast<uint64_t>(config.run.seed),
          .should_stop = should_stop,
          .on_progress = {},
          .judge = run.judge.get(),
          .graded = reward::uses_graders(reward::judge_of(config.reward, config.eval.judge)),
          .communicator = &run.communicator};
}

}  // namespace

bool evaluate_run(const Run& run, int64_t step, const fs::path& folder, const std::function<bool()>& should_stop,
                  metrics::MetricsLine& line) {
  const metrics::Timer timer;
  run.communicator.enter_phase(base::concat("step ", step, ", evaluation"));
  if (run.writes()) fs::create_directories(folder / "eval");
  std::vector<fs::path> outputs;
  for (const EvalSet& set : run.eval_sets)
    outputs.push_back(run.writes() ? eval_path(folder, step, set.name) : fs::path());
  const auto results = evaluate(run.eval_sets, context_of(run, should_stop), outputs);
  if (results.empty()) return false;
  for (const auto& result : results) {
    for (const auto& [name, value] : result.metrics()) line.add(name, value);
    base::log_info(base::concat("eval step ", step, "  ", result.name, "  mean@", result.samples, " ", result.mean_at_k,
                                " [", result.mean_interval.low, ", ", result.mean_interval.high, "]  pass@",
                                result.samples, " ", result.pass_at_k));
  }
  line.add("time/eval", timer.seconds());
  return true;
}

}  // namespace grpo::trainer
