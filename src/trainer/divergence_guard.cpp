#include "trainer/divergence_guard.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"

namespace grpo::trainer {

DivergenceGuard::DivergenceGuard(Run& run, Checkpointing& checkpoints, RunLog& log, std::filesystem::path folder)
    : run_(run), checkpoints_(checkpoints), log_(log), folder_(std::move(folder)) {}

void DivergenceGuard::look_at(int64_t step, const metrics::MetricsLine& line) {
  StepSigns signs = run_.method->signs();
  const int64_t of_policy = run_.optimizer->consecutive_skips();
  const int64_t of_critic = run_.critic_optimizer ? run_.critic_optimizer->consecutive_skips() : 0;
  signs.skipped_updates = std::max(of_policy, of_critic);
  auto findings = watch_.look_at(step, signs);
  for (Finding& finding : findings) {
    if (finding.kind == Divergence::kNonFinite && of_critic > of_policy) finding.text = "the critic: " + finding.text;
  }
  if (!watch_.suspects() && run_.method->update().applied) checkpoints_.note_good();
  checkpoints_.mark_good(watch_.named());
  if (!findings.empty()) tell_of(findings, step, line);
}

// Warns of all findings that do not end the run, before the first one that does is thrown.
void DivergenceGuard::tell_of(const std::vector<Finding>& findings, int64_t step, const metrics::MetricsLine& line) {
  const auto file = folder_ / "diverged" / (checkpoint::step_name(step) + ".jsonl");
  if (run_.writes()) run_.method->write_samples(file, std::numeric_limits<int64_t>::max());
  const auto ends_the_run = [&](const Finding& finding) {
    return stops_on(run_.config.trainer.stop_on.signs, finding.kind);
  };
  for (const Finding& finding : findings) {
    if (!ends_the_run(finding)) base::log_warning(finding.text);
  }
  for (const Finding& finding : findings) {
    if (!ends_the_run(finding)) continue;
    log_.line(step, line);
    throw base::Error(base::concat("step ", step, ": ", finding.text, checkpoints_.way_back()));
  }
}

nlohmann::json DivergenceGuard::to_json() const { return watch_.to_json(); }

void DivergenceGuard::restore(const nlohmann::json& state) { watch_ = DivergenceWatch::from_json(state); }

}  // namespace grpo::trainer
