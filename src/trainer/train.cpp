// Prepares the process for a run, and starts it.
#include "grpo/trainer/train.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
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

<<<<<<< HEAD
=======
class Loop {
 public:
  Loop(const TrainConfig& config, RunStart& start, std::optional<Fork> fork, dist::Communicator& communicator,
       bool profile);
  Outcome run();

 private:
  void begin();
  void look_for_interruption(const fs::path& checkpoint);
  Outcome train_to_the_end();
  void train_step();
  bool take_step(int64_t step);
  bool call_method(int64_t step);
  void look_for_divergence(const metrics::MetricsLine& line);
  void act_on(const std::vector<Finding>& findings, const metrics::MetricsLine& line);
  bool evaluate(metrics::MetricsLine& line);
  bool finish_step(metrics::MetricsLine line, const metrics::Timer& step_timer);
  void finish_interrupted_step();
  void save(const metrics::MetricsLine& line, bool evaluated);
  void note_progress(const StepProgress& progress);
  bool goes_on_and(bool answer);
  bool stops();
  double largest(double value) const;
  double peak_bytes() const;

  const TrainConfig& config_;
  RunStart& start_;
  std::optional<Fork> fork_;
  const bool profile_;
  dist::Communicator& communicator_;
  RunLog log_;  // first of what can speak, so that messages go to stderr again when all else is gone
  Stopping stop_;
  std::unique_ptr<Run> run_;
  Checkpointing checkpoints_;
  DivergenceWatch divergence_;
  std::unique_ptr<Watchdog> watchdog_;  // once the run has begun
  int64_t step_ = 0;                    // completed
  int64_t first_step_ = 0;              // steps that were done when this process began
  metrics::MetricsLine last_line_;      // of the last completed step
  std::optional<nlohmann::json>
      interrupted_;        // state.json of the start checkpoint when its step's line is not written yet
  bool stopping_ = false;  // a signal reached some rank, and all know it
};

fs::path weights_of(const RunStart& start) {
  return start.checkpoint() && fs::exists(*start.checkpoint() / "model") ? *start.checkpoint() / "model" : fs::path();
}

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
      checkpoints_(*run_, start.folder(), stop_) {
  if (!start.checkpoint()) return;
  const auto state = restore(*run_, *start.checkpoint(), fork_);
  step_ = state.at("step").get<int64_t>();
  last_line_ = line_from(state);
  if (state.contains("divergence")) divergence_ = DivergenceWatch::from_json(state.at("divergence"));
  checkpoints_.resumed_from(step_);
}

// Ranks that wait for one that hangs say so first, and name it.
std::chrono::seconds no_progress_limit(const TrainConfig& config, int64_t ranks) {
  return std::chrono::seconds(config.distributed.timeout_s + (ranks > 1 ? 30 : 0));
}

// From here on the run folder changes; all that a configuration, data or a model can have wrong has shown before.
void Loop::begin() {
  start_.begin(config_);
  if (start_.checkpoint()) look_for_interruption(*start_.checkpoint());
  watchdog_ = std::make_unique<Watchdog>(no_progress_limit(config_, communicator_.size()));
  if (run_->writes()) {
    if (fork_) record_fork(start_.folder(), *fork_);
    stop_.watch_reader(STDERR_FILENO);
    if (config_.logging.console == metrics::ConsoleMode::kJson) stop_.watch_reader(STDOUT_FILENO);
  }
  log_.open(start_.folder(), run_->total_steps);
}

// Rank 0 alone writes that file, and may be about to.
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
  if (step_ >= run_->total_steps && !stops()) {
    base::log_info(base::concat(start_.folder().string(), ": finished at step ", step_,
                                "; raise trainer.steps or data.epochs to continue"));
    return Outcome::kFinished;
  }
  base::log_info(
      resolved_choices(config_, run_->policy, static_cast<int64_t>(run_->prompts.size()), run_->total_steps));
  if (step_ == 0 && !run_->eval_sets.empty()) {
    metrics::MetricsLine line;
    if (evaluate(line)) log_.line(0, line);
  }
  log_.start_clock(step_);
  while (step_ < run_->total_steps && !stops()) train_step();
  if (!stopping_) return Outcome::kFinished;
  start_.check_still_there();
  if (checkpoints_.saved_step() != step_ && step_ > 0) save(last_line_, true);
  return Outcome::kStopped;
}

void Loop::train_step() {
  const metrics::Timer step_timer;
  const int64_t step = step_ + 1;
  log_.begin_step(step);
  if (!take_step(step)) return;
  start_.check_still_there();
  step_ = step;
  log_.samples(*run_->method, step);
  auto line = run_->method->measures();
  look_for_divergence(line);
  // Gloo's threads take large buffers from heaps of their own, which would otherwise grow by 0.1 MB a step and give
  // nothing back.
  if (communicator_.size() > 1 && step % 10 == 0) ::malloc_trim(0);
  if (finish_step(std::move(line), step_timer)) log_.result(*run_->method, step, step_timer.seconds());
}

// Any rank may be the one whose sampler finds that the weights are of no use any more.
bool Loop::call_method(int64_t step) {
  try {
    return run_->method->take_step({.step = step,
                                    .learner = run_->learner(),
                                    .should_stop = [this] { return goes_on_and(stop_.drops_step()); },
                                    .on_progress = [this](const StepProgress& progress) { note_progress(progress); }});
  } catch (const rollout::NonFiniteLogits& error) {
    throw base::Error(base::concat("step ", step, ": ", error.what(), checkpoints_.way_back()));
  }
}

void Loop::look_for_divergence(const metrics::MetricsLine& line) {
  StepSigns signs = run_->method->signs();
  signs.skipped_updates = run_->optimizer->consecutive_skips();
  const auto findings = divergence_.look_at(step_, signs);
  if (!divergence_.suspects() && run_->method->update().applied) checkpoints_.note_good();
  checkpoints_.mark_good(divergence_.named());
  if (!findings.empty()) act_on(findings, line);
}

// Keeps what shows the sign, and ends the run where trainer.stop_on asks for it.
void Loop::act_on(const std::vector<Finding>& findings, const metrics::MetricsLine& line) {
  const auto file = start_.folder() / "diverged" / (checkpoint::step_name(step_) + ".jsonl");
  if (run_->writes()) run_->method->write_samples(file, std::numeric_limits<int64_t>::max());
  for (const Finding& finding : findings) {
    if (!stops_on(config_.trainer.stop_on, finding.kind)) base::log_warning(finding.text);
  }
  for (const Finding& finding : findings) {
    if (!stops_on(config_.trainer.stop_on, finding.kind)) continue;
    log_.line(step_, line);
    throw base::Error(base::concat("step ", step_, ": ", finding.text, checkpoints_.way_back()));
  }
}

// False when a signal ended it.
bool Loop::take_step(int64_t step) {
  std::optional<update::StepProfile> profile;
  if (profile_ && step == first_step_ + 2)
    profile.emplace(run_->policy.model->device());  // the first one also warms up
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
    return true;
  }
  stopping_ = true;
  return false;
}

// Evaluation, checkpoint and the line in metrics.jsonl. False when a signal ended the evaluation: the checkpoint then
// holds the unfinished line.
bool Loop::finish_step(metrics::MetricsLine line, const metrics::Timer& step_timer) {
  const auto at = [&](int64_t every) { return step_ == run_->total_steps || (every > 0 && step_ % every == 0); };
  const bool evaluated = run_->eval_sets.empty() || !at(config_.eval.every_steps) || evaluate(line);
  const metrics::Timer checkpoint_timer;
  if (!evaluated || at(config_.checkpoint.every_steps)) save(line, evaluated);
  last_line_ = line;
  if (!evaluated) return false;
  line.add("time/checkpoint", checkpoint_timer.seconds());
  line.add("time/step", step_timer.seconds());
  line.add("memory/peak_bytes", peak_bytes());
  log_.line(step_, line);
  return true;
}

// The step of the checkpoint this run starts from, when its evaluation or its line in metrics.jsonl is still missing.
void Loop::finish_interrupted_step() {
  const auto state = *std::exchange(interrupted_, std::nullopt);
  auto line = line_from(state);
  if (!state.at("evaluated").get<bool>() && !evaluate(line)) return;
  for (const char* name : {"time/checkpoint", "time/step"}) line.add(name, 0.0);
  line.add("memory/peak_bytes", peak_bytes());
  log_.line(step_, line);
}

// The step's metrics line goes into the checkpoint too: a run that dies between the checkpoint and metrics.jsonl, or
// during the step's evaluation, writes it when it starts again.
void Loop::save(const metrics::MetricsLine& line, bool evaluated) {
  auto values = nlohmann::json::array();
  for (const auto& [name, value] : line.values()) values.push_back({name, value});
  nlohmann::json state = {{"format", 1},
                          {"step", step_},
                          {"seed", config_.run.seed},
                          {"line", values},
                          {"evaluated", evaluated},
                          {"divergence", divergence_.to_json()},
                          {"total_steps", run_->total_steps},
                          {"inputs", run_->inputs}};
  run_->method->save(state);
  const Watchdog::Pause pause(*watchdog_);  // large copies, and the disk may be slow
  checkpoints_.save(step_, state, /*copy=*/step_ < run_->total_steps && !stopping_,
                    /*pin_good=*/divergence_.suspects());
}

// Between decode steps and micro-batches: the run makes progress.
bool Loop::goes_on_and(bool answer) {
  watchdog_->beat();
  return answer;
}

// A disk that is full is told at once, not at the next checkpoint.
void Loop::note_progress(const StepProgress& progress) {
  const bool rollout = progress.phase == StepProgress::Phase::kRollout;
  watchdog_->enter(base::concat("step ", step_ + 1, rollout ? ", rollout" : ", update"));
  checkpoints_.check();
  log_.progress(progress);
}

// Whether a signal asks to stop: one answer for all ranks, though it reaches them at different moments.
bool Loop::stops() {
  stop_.look_for_readers();
  if (!stopping_) stopping_ = largest(stop_.asked() ? 1.0 : 0.0) > 0.0;
  return stopping_;
}

// The largest that a rank has held: of its GPU, or resident on the CPU.
double Loop::peak_bytes() const {
  const auto device = run_->policy.model->device();
  return largest(device.is_cuda() ? models::peak_device_bytes(device)
                                  : static_cast<double>(metrics::peak_memory_bytes()));
}

double Loop::largest(double value) const {
  for (const auto& theirs : communicator_.all_gather({value})) value = std::max(value, theirs[0]);
  return value;
}

>>>>>>> survive
void resolve_paths(TrainConfig& config, const fs::path& config_folder) {
  config.model.path = config::resolve_path(config.model.path, config_folder).string();
  config.data.train = resolve_files(config.data.train, config_folder.string(), "data.train");
  config.eval.data = resolve_files(config.eval.data, config_folder.string(), "eval.data");
  if (config.eval.every_steps > 0) names_of_sets(config.eval.data, "eval.data");
}

// Before anything runs on the device.
void set_deterministic(bool deterministic) {
  auto& context = at::globalContext();
  context.setDeterministicAlgorithms(deterministic, /*warn_only=*/false);
  context.setDeterministicCuDNN(deterministic);
  context.setDeterministicFillUninitializedMemory(false);
  // cuBLAS adds parts of a product in a fixed order only in a workspace of a fixed size.
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
