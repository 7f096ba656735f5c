#include "trainer/loop.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/checkpoint/run_state.h"
#include "grpo/io/json_errors.h"
#include "grpo/models/device.h"
#include "grpo/rollout/non_finite.h"
#include "grpo/update/profile.h"
#include "trainer/plan.h"
#include "trainer/resume.h"
#include "trainer/run_evaluation.h"
#include "trainer/train_shares.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

fs::path weights_of(const RunStart& start) {
  return start.checkpoint() && fs::exists(*start.checkpoint() / "model") ? *start.checkpoint() / "model" : fs::path();
}

// With several ranks the watchdog waits 30 s longer than a collective, so that the ranks that wait for one that hangs
// give up first, with an error that names that rank.
std::chrono::seconds no_progress_limit(const TrainConfig& config, int64_t ranks) {
  return std::chrono::seconds(config.distributed.timeout_s + (ranks > 1 ? 30 : 0));
}

}  // namespace

Loop::Loop(const TrainConfig& config, RunStart& start, std::optional<Fork> fork, dist::Communicator& communicator,
           bool profile)
    : config_(config),
      start_(start),
      fork_(std::move(fork)),
      profile_(profile),
      communicator_(communicator),
      log_(config, communicator.rank() == 0),
      stop_(communicator, static_cast<double>(config.checkpoint.stop_within_s)),
      run_(assemble(config, weights_of(start), communicator)),
      checkpoints_(*run_, start.folder(), stop_),
      divergence_(*run_, checkpoints_, log_, start.folder()),
      goal_(config.trainer.stop_on),
      best_(config.checkpoint.keep_best) {
  if (!start.checkpoint()) return;
  const auto state = restore(*run_, *start.checkpoint(), fork_);
  io::with_json_errors<base::CheckpointError>(not_a_state(*start.checkpoint()), [&] {
    step_ = state.at("step").get<int64_t>();
    last_line_ = line_from(state);
    if (state.contains("divergence")) divergence_.restore(state.at("divergence"));
    // A fork has a goal of its own: it would not begin if the other run had reached it.
    if (state.contains("goal") && !fork_) goal_.restore(state.at("goal"), step_);
    if (state.contains("best")) best_.restore(state.at("best"));
    std::optional<int64_t> good_step;
    if (state.contains("good_step")) good_step = state.at("good_step").get<int64_t>();
    checkpoints_.resumed_from(*start.checkpoint(), step_, good_step);
  });
}

// The first changes to the run folder are made here, when configuration, data and model have been found to be right.
void Loop::begin() {
  start_.begin(config_);
  if (start_.checkpoint()) {
    look_for_interruption(*start_.checkpoint());
    look_for_best();
  }
  watchdog_ = std::make_unique<Watchdog>(no_progress_limit(config_, communicator_.size()));
  if (run_->writes()) {
    if (fork_) record_fork(start_.folder(), *fork_);
    stop_.watch_reader(STDERR_FILENO);
    if (config_.logging.console == metrics::ConsoleMode::kJson) stop_.watch_reader(STDOUT_FILENO);
  }
  log_.open(start_.folder(), run_->total_steps);
}

// What counts as the best so far has to be a checkpoint of this run that is there and marked. It is not when the run
// began from another run's checkpoint, or goes back to a step before the checkpoint that is marked. All ranks take rank
// 0's answer.
void Loop::look_for_best() {
  const bool there = best_.step() > 0 && checkpoints_.has(best_.step());
  if (communicator_.all_gather({there ? 1.0 : 0.0})[0][0] > 0.0) {
    checkpoints_.mark_best(best_.step());
  } else {
    best_ = BestOf(config_.checkpoint.keep_best);
  }
}

// All ranks take rank 0's answer: only rank 0 writes metrics.jsonl, and may do so while the others look.
void Loop::look_for_interruption(const fs::path& checkpoint) {
  const bool missing = metrics::last_step(start_.folder() / "metrics.jsonl") < step_;
  if (communicator_.all_gather({missing ? 1.0 : 0.0})[0][0] > 0.0)
    interrupted_ = checkpoint::read_state_json(checkpoint);
}

Outcome Loop::run() {
  begin();
  const Outcome outcome = train_to_the_end();
  watchdog_.reset();
  checkpoints_.wait();
  communicator_.enter_phase("the end");
  communicator_.barrier("the end");
  if (outcome == Outcome::kStopped) {
    base::log_info(base::concat("stopped by a signal after step ", step_, "; start again to continue"));
  } else if (step_ > first_step_) {
    base::log_info(base::concat("finished at step ", step_, " in ", metrics::duration(log_.seconds()), ": ",
                                start_.folder().string()));
  }
  if (outcome == Outcome::kFinished) log_.check_complete();
  return outcome;
}

Outcome Loop::train_to_the_end() {
  first_step_ = step_;
  if (interrupted_) finish_interrupted_step();
  if (is_last() && !stops()) {
    base::log_info(base::concat(start_.folder().string(), ": finished at step ", step_,
                                goal_.reached().empty() ? "; raise trainer.steps or data.epochs to continue"
                                                        : ": " + goal_.reached() + " (trainer.stop_on)"));
    return Outcome::kFinished;
  }
  const DataExtent data{.problems = static_cast<int64_t>(run_->prompts.size()),
                        .epoch = epoch_length(config_.data.train, run_->prompts)};
  base::log_info(resolved_choices(config_, run_->policy, data, run_->total_steps));
  if (step_ == 0 && !run_->eval_sets.empty()) {
    metrics::MetricsLine line;
    if (evaluate(line)) {
      log_.line(0, line);
      check_watched(line);
    }
  }
  log_.start_clock(step_);
  while (!is_last() && !stops()) train_step();
  if (!goal_.reached().empty()) base::log_info(goal_.reached() + ": the run ends (trainer.stop_on)");
  if (!stopping_) return Outcome::kFinished;
  start_.check_still_there();
  if (checkpoints_.saved_step() != step_ && step_ > 0) save(last_line_, /*evaluated=*/!interrupted_);
  return Outcome::kStopped;
}

void Loop::train_step() {
  const metrics::Timer step_timer;
  const double cpu_before = metrics::cpu_seconds();
  const int64_t step = step_ + 1;
  log_.begin_step(step);
  if (!take_step(step)) return;
  start_.check_still_there();
  step_ = step;
  run_->sync_reference(step);
  log_.samples(*run_->method, step);
  auto line = run_->method->measures();
  take_watched_from_rank_0(line);
  const double cpu_s = metrics::cpu_seconds() - cpu_before;
  divergence_.look_at(step, line);
  // Gloo's threads take large buffers from heaps of their own. Without this call these would grow by 0.1 MB a step and
  // never give memory back.
  if (communicator_.size() > 1 && step % 10 == 0) ::malloc_trim(0);
  if (finish_step(std::move(line), step_timer, cpu_s)) log_.result(*run_->method, step, step_timer.seconds());
}

// The sampler of any rank may find that the weights are of no use any more. The error then also says how to go back.
bool Loop::call_method(int64_t step) {
  try {
    return run_->method->take_step({.step = step,
                                    .learner = run_->learner(),
                                    .critic = run_->critic_learner(),
                                    .should_stop = [this] { return goes_on_and(stop_.drops_step()); },
                                    .on_progress = [this](const StepProgress& progress) { note_progress(progress); }});
  } catch (const rollout::NonFiniteLogits& error) {
    throw base::Error(base::concat("step ", step, ": ", error.what(), checkpoints_.way_back()));
  }
}

// Returns false when a signal ended the step.
bool Loop::take_step(int64_t step) {
  std::optional<update::StepProfile> profile;
  if (profile_ && step == first_step_ + 2)
    profile.emplace(run_->policy.model->device());  // not the first step, which also warms up
  stop_.begin_step(step);
  watchdog_->enter(base::concat("step ", step, ", rollout"));
  const bool whole = call_method(step);
  if (profile)
    profile->write(start_.folder() / "profile" / base::concat("step-", step, ".rank-", communicator_.rank(), ".json"));
  if (!whole) {
    base::log_info(base::concat("step ", step, " is dropped, and repeated by the next start"));
    stopping_ = true;
    return false;
  }
  stop_.end_step();
  return true;
}

bool Loop::evaluate(metrics::MetricsLine& line) {
  watchdog_->enter(base::concat("step ", step_, ", evaluation"));
  log_.doing("evaluation");
  if (evaluate_run(
          *run_, step_, start_.folder(), [this] { return goes_on_and(stop_.drops_evaluation()); }, line)) {
    log_.doing("");
    take_watched_from_rank_0(line);
    return true;
  }
  stopping_ = true;
  return false;
}

// Makes the evaluation and the checkpoint that are due, and writes the line in metrics.jsonl. Returns false when a
// signal ended the evaluation; then the checkpoint holds the unfinished line.
bool Loop::finish_step(metrics::MetricsLine line, const metrics::Timer& step_timer, double cpu_s) {
  const auto at = [&](int64_t every) { return is_last() || (every > 0 && step_ % every == 0); };
  goal_.look_at(step_, line);
  const bool evaluated = run_->eval_sets.empty() || !at(config_.eval.every_steps) || evaluate(line);
  goal_.look_at(step_, line);
  const bool due = !evaluated || at(config_.checkpoint.every_steps), better = evaluated && is_better(line, due);
  const metrics::Timer checkpoint_timer;
  if (due || better) save(line, evaluated, better);
  last_line_ = line;
  if (!evaluated) return false;
  line.add("time/cpu", cpu_s);
  line.add("time/checkpoint", checkpoint_timer.seconds());
  line.add("time/step", step_timer.seconds());
  line.add("memory/peak_bytes", peak_bytes());
  log_.line(step_, line);
  return true;
}

// Finishes the step of the checkpoint that the run starts from: makes its evaluation if that was stopped, and writes
// its line in metrics.jsonl. The checkpoint is saved again with what the evaluation said, because a process that dies
// before the next one would forget how good this one was.
void Loop::finish_interrupted_step() {
  const auto state = *interrupted_;
  auto line = line_from(state);
  const bool evaluated = io::with_json_errors<base::CheckpointError>(not_a_state(*start_.checkpoint()),
                                                                     [&] { return state.at("evaluated").get<bool>(); });
  if (!evaluated) {
    if (!evaluate(line)) return;
    goal_.look_at(step_, line);
    const bool better = is_better(line, /*saved=*/true);
    save(line, /*evaluated=*/true, better);
    last_line_ = line;
  }
  for (const char* name : {"time/cpu", "time/checkpoint", "time/step"}) line.add(name, 0.0);
  line.add("memory/peak_bytes", peak_bytes());
  log_.line(step_, line);
  interrupted_.reset();
}

// So that all ranks decide alike when the run ends and which checkpoint is the best.
void Loop::take_watched_from_rank_0(metrics::MetricsLine& line) const {
  take_from_rank_0({config_.trainer.stop_on.metric, config_.checkpoint.keep_best}, communicator_, line);
}

// A wrong name of an evaluation's metric ends the run after the first evaluation, not eval.every_steps steps later.
void Loop::check_watched(const metrics::MetricsLine& first_evaluation) const {
  const std::string &goal = config_.trainer.stop_on.metric, &best = config_.checkpoint.keep_best;
  if (is_of_evaluation(goal)) BestOf(goal).check(first_evaluation, "trainer.stop_on.metric");
  if (is_of_evaluation(best)) BestOf(best).check(first_evaluation, "checkpoint.keep_best");
}

bool Loop::is_last() const { return step_ >= run_->total_steps || !goal_.reached().empty(); }

// Whether this step's checkpoint is to be kept as the best one. saved: a checkpoint is written in any case. Where it is
// not, only a metric of evaluations is looked at: others change in every step, and a checkpoint each time would cost
// too much.
bool Loop::is_better(const metrics::MetricsLine& line, bool saved) {
  best_.check(line, "checkpoint.keep_best");
  return (saved || best_.name().starts_with("eval/")) && best_.look_at(step_, line);
}

void Loop::save(const metrics::MetricsLine& line, bool evaluated, bool best) {
  auto state = state_of(*run_, step_, line, evaluated);
  state["divergence"] = divergence_.to_json();
  state["goal"] = goal_.to_json();
  state["best"] = best_.to_json();
  if (const auto good = checkpoints_.good_step()) state["good_step"] = *good;
  const Watchdog::Pause pause(*watchdog_);  // copies are large and the disk may be slow, which is no hang
  checkpoints_.save(step_, state, {.copy = !is_last() && !stopping_, .pin_good = divergence_.suspects(), .best = best});
}

// Passes an answer on and tells the watchdog that the run makes progress: should_stop is asked between decode steps and
// micro-batches.
bool Loop::goes_on_and(bool answer) {
  watchdog_->beat();
  return answer;
}

// Also looks whether the checkpoint that is being written has failed, so that a full disk is reported at once and not
// at the next checkpoint.
void Loop::note_progress(const StepProgress& progress) {
  const bool rollout = progress.phase == StepProgress::Phase::kRollout;
  watchdog_->enter(base::concat("step ", step_ + 1, rollout ? ", rollout" : ", update"));
  checkpoints_.check();
  log_.progress(progress);
}

// Whether a signal asks to stop. The ranks agree on the answer, since signals reach them at different moments.
bool Loop::stops() {
  stop_.look_for_readers();
  if (!stopping_) stopping_ = largest(stop_.asked() ? 1.0 : 0.0) > 0.0;
  return stopping_;
}

// The most bytes that a rank has held, on its GPU or, without one, in resident memory.
double Loop::peak_bytes() const {
  const auto device = run_->policy.model->device();
  return largest(device.is_cuda() ? models::peak_device_bytes(device)
                                  : static_cast<double>(metrics::peak_memory_bytes()));
}

double Loop::largest(double value) const {
  for (const auto& theirs : communicator_.all_gather({value})) value = std::max(value, theirs[0]);
  return value;
}

}  // namespace grpo::trainer
