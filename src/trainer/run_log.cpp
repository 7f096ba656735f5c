#include "trainer/run_log.h"

#include <algorithm>
#include <ctime>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "trainer/run_folder.h"

namespace grpo::trainer {

RunLog::RunLog(const TrainConfig& config, bool writes)
    : config_(config), writes_(writes), console_(writes ? config.logging.console : metrics::ConsoleMode::kPlain) {
  status_.run = config.run.name;
  if (!writes || config.logging.prometheus.empty()) return;
  prometheus_ = std::make_unique<metrics::PrometheusEndpoint>(config.logging.prometheus, config.run.name);
}

void RunLog::open(const std::filesystem::path& folder, int64_t total_steps) {
  folder_ = folder;
  status_.steps = total_steps;
  if (!writes_) return;
  metrics_ = std::make_unique<metrics::MetricsWriter>(folder / "metrics.jsonl");
  if (config_.logging.tensorboard) tensorboard_ = std::make_unique<metrics::TensorBoardWriter>(folder / "events");
}

void RunLog::start_clock(int64_t done) {
  status_.step = done;
  done_ = done;
  timer_ = metrics::Timer();
}

void RunLog::begin_step(int64_t step) {
  status_.step = step;
  status_.rollout = {};
  status_.update = {};
}

void RunLog::progress(const StepProgress& progress) {
  if (!writes_) return;
  auto& phase = progress.phase == StepProgress::Phase::kRollout ? status_.rollout : status_.update;
  phase = {.done = progress.done, .total = progress.total, .tokens = progress.tokens};
  status_.elapsed_s = timer_.seconds();
  console_.show(status_);
}

void RunLog::doing(const std::string& what) {
  status_.doing = what;
  if (writes_) console_.show(status_, /*now=*/true);
}

void RunLog::samples(Method& method, int64_t step) {
  if (writes_) method.write_samples(rollouts_path(folder_, step), config_.logging.rollouts_per_step);
  if (tensorboard_) method.show_samples(*tensorboard_, static_cast<double>(std::time(nullptr)));
  for (const auto& text : method.warnings()) base::log_warning(text);
}

void RunLog::line(int64_t step, const metrics::MetricsLine& line) {
  if (!writes_) return;
  for (const auto& [name, value] : line.values()) {
    if (name == config_.trainer.stop_on.metric && name.ends_with("/total")) goal_so_far_ = value;
  }
  const auto now = static_cast<double>(std::time(nullptr));
  metrics_->write(step, now, line);
  try {
    console_.metrics_line(step, now, line);
  } catch (const base::IoError& error) {  // metrics.jsonl has the line, so the run goes on; check_complete() tells it
    if (lost_lines_++ == 0) base::log_error(error.what());
  }
  if (prometheus_) prometheus_->set(step, line);
  if (tensorboard_) tensorboard_->add_scalars(step, now, line);
}

// Steps to trainer.steps or, if that is sooner, to a total of trainer.stop_on that grows as it has grown so far.
double RunLog::steps_left(int64_t step) const {
  const auto all = static_cast<double>(status_.steps - step);
  const auto goal = config_.trainer.stop_on.at_least;
  if (!goal || !(goal_so_far_ > 0.0)) return all;
  return std::clamp((*goal / goal_so_far_ - 1.0) * static_cast<double>(step), 0.0, all);
}

// Estimates the rest of the run from its pace so far, evaluations and checkpoints included.
void RunLog::result(const Method& method, int64_t step, double step_s) {
  status_.elapsed_s = timer_.seconds();
  status_.left_s = status_.elapsed_s / static_cast<double>(step - done_) * steps_left(step);
  status_.memory_bytes = static_cast<double>(metrics::peak_memory_bytes());
  method.show(status_);
  console_.show(status_, /*now=*/step == status_.steps);
  console_.step_line(method.summary(status_.steps, step_s, status_.left_s));
}

void RunLog::check_complete() const {
  if (lost_lines_ == 0) return;
  throw base::IoError(base::concat("the run is finished, but ", lost_lines_,
                                   " of its metrics lines could not be written to stdout; ",
                                   (folder_ / "metrics.jsonl").string(), " has them all"));
}

}  // namespace grpo::trainer
