// The training loop around grpo_step: run folder, evaluation, checkpoints, resume, signals.
#include "grpo/trainer/train.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <future>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <unordered_set>
#include <utility>

#include "grpo/base/cache.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/base/text.h"
#include "grpo/checkpoint/run_state.h"
#include "grpo/checkpoint/store.h"
#include "grpo/config/config.h"
#include "grpo/data/sampler.h"
#include "grpo/io/file.h"
#include "grpo/metrics/console.h"
#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/prometheus.h"
#include "grpo/metrics/tensorboard.h"
#include "grpo/metrics/timer.h"
#include "grpo/models/device.h"
#include "grpo/optim/schedule.h"
#include "grpo/rollout/non_finite.h"
#include "grpo/trainer/evaluate.h"
#include "grpo/trainer/grpo_step.h"
#include "trainer/accuracy_tracker.h"
#include "trainer/divergence.h"
#include "trainer/expected_demand.h"
#include "trainer/fork.h"
#include "trainer/layer_hooks.h"
#include "trainer/load_prompts.h"
#include "trainer/memory_plan.h"
#include "trainer/plan.h"
#include "trainer/profile.h"
#include "trainer/resume_rules.h"
#include "trainer/run_inputs.h"
#include "trainer/run_folder.h"
#include "trainer/run_start.h"
#include "trainer/step_output.h"
#include "trainer/stopping.h"
#include "trainer/token_budget.h"
#include "trainer/watchdog.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

// What a run carries from step to step besides weights and optimizer; saved as state.json.
struct Progress {
  int64_t step = 0;  // completed
  uint64_t next_draw = 0;
  int64_t rollouts_total = 0;
  AccuracyTracker accuracy;
};

// The step's metrics line goes into the checkpoint too: a run that dies between the checkpoint and metrics.jsonl, or
// during the step's evaluation, writes it when it starts again.
nlohmann::json to_json(const Progress& progress, const TrainConfig& config, const metrics::MetricsLine& line, bool evaluated) {
  auto values = nlohmann::json::array();
  for (const auto& [name, value] : line.values()) values.push_back({name, value});
  return {{"format", 1},
          {"step", progress.step},
          {"seed", config.run.seed},
          {"next_draw", progress.next_draw},
          {"pending_prompts", nlohmann::json::array()},  // a step is finished or not begun: none is ever half done
          {"rollouts_total", progress.rollouts_total},
          {"line", values},
          {"evaluated", evaluated},
          {"accuracy", progress.accuracy.to_json()}};
}

metrics::MetricsLine line_from(const nlohmann::json& state) {
  metrics::MetricsLine line;
  for (const auto& entry : state.at("line")) line.add(entry.at(0).get<std::string>(), entry.at(1).get<double>());
  return line;
}

Progress progress_from(const nlohmann::json& state) {
  return {.step = state.at("step").get<int64_t>(),
          .next_draw = state.at("next_draw").get<uint64_t>(),
          .rollouts_total = state.at("rollouts_total").get<int64_t>(),
          .accuracy = AccuracyTracker::from_json(state.at("accuracy"))};
}

class Loop {
 public:
  Loop(const TrainConfig& config, RunStart& start, const std::optional<Fork>& fork, dist::Communicator& communicator, bool profile);
  Outcome run();

 private:
  void load_data();
  void warn_overlap() const;
  void begin();
  void restore(const fs::path& checkpoint);
  void compare_inputs(const nlohmann::json& state, const fs::path& checkpoint);
  void compare_schedule(const nlohmann::json& state);
  void look_for_interruption(const fs::path& checkpoint);
  Outcome train_to_the_end();
  void train_step();
  std::vector<Prompt> take_prompts(std::vector<uint64_t>& draws) const;
  double predict_dead(const std::vector<Prompt>& prompts) const;
  void record_accuracy(const RolloutBatch& batch);
  bool evaluate_into(metrics::MetricsLine& line, int64_t step);
  bool finish_step(metrics::MetricsLine line, const metrics::Timer& step_timer);
  void finish_interrupted_step();
  nlohmann::json state_json(const metrics::MetricsLine& line, bool evaluated) const;
  void save_checkpoint(const metrics::MetricsLine& line, bool evaluated);
  void wait_for_checkpoint();
  bool evaluates_at(int64_t step) const;
  bool saves_at(int64_t step) const;
  double seconds_left() const;
  void warn_truncated(const StepStats& stats, int64_t rollouts);
  StepResult take_step(StepContext& context, std::vector<Prompt> prompts, const std::vector<uint64_t>& draws);
  std::vector<Finding> look_for_divergence(const StepResult& result);
  void act_on(const std::vector<Finding>& findings, const StepResult& result, const metrics::MetricsLine& line);
  void check_weights();
  std::string way_back();
  void log(int64_t step, const metrics::MetricsLine& line);
  void note_progress(const StepProgress& progress);
  bool goes_on_and(bool answer);
  void show(const StepProgress& progress);
  void check_checkpoint();
  void show_result(const StepResult& result, double step_s);
  void show_doing(const std::string& what);
  bool writes() const { return communicator_.rank() == 0; }  // metrics, rollouts, checkpoints are one rank's
  bool stops();
  double largest(double value) const;
  double peak_bytes() const;
  void add_exchange(metrics::MetricsLine& line, const StepStats& stats) const;
  void collect_optimizer_files(const fs::path& folder, int64_t step) const;

  const TrainConfig& config_;
  RunStart& start_;
  std::optional<Fork> fork_;
  const bool profile_;
  metrics::Console console_;  // first, so that messages go to stderr again when all else is gone
  metrics::Status status_;
  fs::path folder_;
  dist::Communicator& communicator_;
  Stopping stop_;
  Policy policy_;
  std::unique_ptr<models::CausalLM> reference_;
  std::vector<Prompt> prompts_;
  std::vector<EvalSet> eval_sets_;
  std::unique_ptr<reward::RewardFunction> reward_;
  std::unique_ptr<optim::AdamW> optimizer_;
  std::unique_ptr<rollout::Engine> engine_;
  std::unique_ptr<data::PromptSampler> sampler_;
  checkpoint::Store store_;
  std::unique_ptr<metrics::MetricsWriter> metrics_;
  std::unique_ptr<metrics::TensorBoardWriter> tensorboard_;
  std::unique_ptr<metrics::PrometheusEndpoint> prometheus_;
  nlohmann::json inputs_;  // fingerprints of what the run reads (run_inputs.h)
  Progress progress_;
  int64_t total_steps_ = 0;
  int64_t first_step_ = 0;   // steps that were done when this process began
  metrics::Timer run_timer_;  // since the first step of this process began
  bool splits_optimizer_ = false;  // each rank saves its part
  int64_t saved_step_ = -1;                  // of the newest checkpoint, on disk or being written
  std::optional<int64_t> good_step_;         // of the newest checkpoint after which an update showed no sign of divergence
  DivergenceWatch divergence_;
  std::unique_ptr<Watchdog> watchdog_;       // once the run has begun
  metrics::MetricsLine last_line_;           // of the last completed step
  std::optional<nlohmann::json> interrupted_;  // state.json of the start checkpoint when its step's line is not written yet
  int64_t micro_batch_tokens_;  // the plan's; lowered when memory ran out
  bool checked_truncated_ = false;
  int64_t lost_lines_ = 0;  // of the JSON console
  bool stopping_ = false;  // a signal reached some rank, and all know it
  std::future<void> writing_;  // the checkpoint that is being written; last, so that it ends before what it reads
};

// Prompts that leave room for a whole completion within rollout.max_total_tokens.
int64_t longest_prompt(const TrainConfig& config) {
  if (!config.rollout.max_total_tokens) return config.data.max_prompt_tokens;
  return std::min(config.data.max_prompt_tokens, *config.rollout.max_total_tokens - config.rollout.max_new_tokens);
}

// The ranks must plan alike: with the memory of the one that has least.
PlanTarget target_of(const ModelOptions& options, dist::Communicator& communicator) {
  const at::Device device = models::resolve_device(options.device, communicator.local_rank());
  const int64_t ranks = communicator.size();
  // On the CPU, ranks of this host share its memory; how many they are is not known here, so all count.
  double memory = device.is_cuda() ? models::device_memory_bytes(device) : static_cast<double>(base::usable_memory_bytes()) / static_cast<double>(ranks);
  for (const auto& theirs : communicator.all_gather({memory})) memory = std::min(memory, theirs[0]);
  return {.ranks = ranks, .cuda = device.is_cuda(), .memory_bytes = memory};
}

// Before they are loaded: a GPU's error would not say what to do.
void check_weights_fit(const ModelOptions& options, const PlanTarget& target) {
  if (!fs::is_directory(options.path)) return;  // load_policy says so
  const auto dtype = models::resolve_dtype(options.dtype, options.path, target.cuda ? at::Device(at::kCUDA) : at::Device(at::kCPU));
  check_weights_fit(models::read_model_config(options.path, {}), static_cast<int64_t>(c10::elementSize(dtype)), target);
}

models::TrainingOptions training_options(const models::CausalLM& model, const MemoryPlan& plan) {
  const auto& shape = model.config();
  const fs::path cache = base::cache_folder();
  return {.checkpointing = plan.checkpointing,
          .attention = nn::choose_attention({.heads = shape.num_heads, .kv_heads = shape.num_kv_heads, .head_dim = shape.head_dim}, model.dtype(),
                                            model.device(), cache.empty() ? cache : cache / "attention.json")};
}

Loop::Loop(const TrainConfig& config, RunStart& start, const std::optional<Fork>& fork, dist::Communicator& communicator, bool profile)
    : config_(config), start_(start), fork_(fork), profile_(profile), console_(communicator.rank() == 0 ? config.logging.console : metrics::ConsoleMode::kPlain), folder_(start.folder()), communicator_(communicator), stop_(communicator, static_cast<double>(config.checkpoint.stop_within_s)), store_(start.folder() / "checkpoints"), micro_batch_tokens_(config.trainer.micro_batch_tokens) {
  communicator_.enter_phase("start");
  // Before the model is loaded: an address that is taken should not cost minutes.
  if (writes() && !config.logging.prometheus.empty()) {
    prometheus_ = std::make_unique<metrics::PrometheusEndpoint>(config.logging.prometheus, config.run.name);
  }
  const fs::path weights = start.checkpoint() && fs::exists(*start.checkpoint() / "model") ? *start.checkpoint() / "model" : fs::path();
  const PlanTarget target = target_of(config.model, communicator_);
  check_weights_fit(config.model, target);
  policy_ = load_policy(config.model, config.rollout.stop_ids, weights, communicator_.local_rank());
  const MemoryPlan plan = plan_memory(policy_.model->config(), config, static_cast<int64_t>(c10::elementSize(policy_.model->dtype())), target);
  splits_optimizer_ = plan.sharding != optim::StateSharding::kNone;
  micro_batch_tokens_ = plan.micro_batch_tokens;
  policy_.model->set_training_options(training_options(*policy_.model, plan));
  if (config.algorithm.kl.coef > 0.0) {
    reference_ = models::CausalLM::load(config.model.path, policy_.model->dtype(), policy_.model->device(),
                                        {.max_positions = config.model.max_positions.value, .rope_theta = config.model.rope_theta.value});
  }
  reward_ = reward::make_reward(config.reward);
  load_data();
  optimizer_ = std::make_unique<optim::AdamW>(policy_.model->parameters(), config.optimizer,
                                               optim::AdamWOptions{.decays = {},
                                                                   .communicator = &communicator_,
                                                                   .sharding = plan.sharding,
                                                                   .reduce_dtype = config.distributed.reduce_dtype == dist::ReduceDtype::kBfloat16 ? at::kBFloat16 : at::kFloat,
                                                                   .layers = policy_.model->parameter_layers(),
                                                                   .offload = plan.offload});
  if (communicator_.size() > 1) policy_.model->set_layer_hooks(layer_hooks(*optimizer_));
  engine_ = std::make_unique<rollout::Engine>(
      *policy_.model, rollout::EngineConfig{.page_size = config.rollout.page_size,
                                            .max_sequences = decoded_together(config.rollout, policy_.model->device().is_cuda()),
                                            .num_pages = {},
                                            .kv_memory_gb = config.rollout.kv_memory_gb,
                                            .beside_gb = plan.beside_kv_gb(),
                                            .exact = config.rollout.exact,
                                            .expected = expected_demand(config, prompts_, eval_sets_, policy_.model->device().is_cuda())});
  sampler_ = std::make_unique<data::PromptSampler>(static_cast<int64_t>(prompts_.size()),
                                                   static_cast<uint64_t>(config.run.seed), config.data.shuffle);
  total_steps_ = steps_of(config, static_cast<int64_t>(prompts_.size()));
  if (start.checkpoint()) restore(*start.checkpoint());
  status_.run = config.run.name;
  status_.steps = total_steps_;
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
  if (!writes()) return;
  if (fork_) record_fork(folder_, *fork_);
  stop_.watch_reader(STDERR_FILENO);
  if (config_.logging.console == metrics::ConsoleMode::kJson) stop_.watch_reader(STDOUT_FILENO);
  metrics_ = std::make_unique<metrics::MetricsWriter>(folder_ / "metrics.jsonl");
  if (config_.logging.tensorboard) tensorboard_ = std::make_unique<metrics::TensorBoardWriter>(folder_ / "events");
}

void Loop::load_data() {
  const auto problems = data::load_problems(config_.data.train, config_.data.prompt_key, config_.data.answer_key);
  prompts_ = prompts_of(policy_, config_.data, problems, longest_prompt(config_), "data.train");
  if (reward::asks_gold(config_.reward)) check_golds(prompts_, config_.reward, "data.train", reward::asks_verifier(config_.reward));
  if (config_.eval.every_steps > 0) {
    const auto names = names_of_sets(config_.eval.data, "eval.data");
    for (size_t i = 0; i < names.size(); ++i) {
      eval_sets_.push_back({.name = names[i], .prompts = load_prompts(policy_, config_.data, {config_.eval.data[i]}, longest_prompt(config_), "eval.data")});
      check_golds(eval_sets_.back().prompts, config_.reward, "eval.data");
    }
  }
  warn_overlap();
  inputs_ = inputs_of(config_, policy_, problems, prompts_, eval_sets_);
}

void Loop::warn_overlap() const {
  if (!writes()) return;
  std::unordered_set<std::string> trained;
  for (const Prompt& prompt : prompts_) trained.insert(prompt.text);
  for (const EvalSet& set : eval_sets_) {
    const auto both = std::count_if(set.prompts.begin(), set.prompts.end(), [&](const Prompt& prompt) { return trained.contains(prompt.text); });
    if (both == 0) continue;
    base::log_warning(base::concat("eval.data: ", both, " of the ", set.prompts.size(), " problems of ", set.name,
                                   " are trained on too: their accuracy is no held-out figure"));
  }
}

// What the files hold must be what it was, wherever they lie now. A fork may have others.
void Loop::compare_inputs(const nlohmann::json& state, const fs::path& checkpoint) {
  const auto saved = state.value("inputs", nlohmann::json());
  const auto changes = changed_inputs(saved, inputs_);
  if (!fork_) refuse_changes(changes, checkpoint);
  if (fork_) fork_->changes.insert(fork_->changes.end(), changes.begin(), changes.end());
  // Accuracies belong to rows.
  if (saved.is_object() && saved.at("problems") != inputs_.at("problems")) progress_.accuracy = AccuracyTracker();
  if (!writes()) return;
  for (const auto& name : changed_eval_sets(saved, inputs_)) {
    base::log_warning("eval.data: the problems of " + name + " are not those of the earlier evaluations of this run: the figures before and after do not compare");
  }
}

// A rate that falls to the run's end jumps up when the end moves away.
void Loop::compare_schedule(const nlohmann::json& state) {
  const int64_t planned = state.value("total_steps", total_steps_);
  const int64_t updates = config_.trainer.updates_per_step * config_.trainer.epochs_per_step;
  const int64_t next = progress_.step * updates;
  const double before = optim::lr_factor(config_.optimizer, next, planned * updates);
  const double now = optim::lr_factor(config_.optimizer, next, total_steps_ * updates);
  if (!writes() || before == now) return;
  base::log_warning(base::concat("optimizer.schedule falls to the run's end, which was step ", planned, " and is now ", total_steps_,
                                 ": the learning rate of the next update is ", now * config_.optimizer.lr, " where it would have been ",
                                 before * config_.optimizer.lr));
}

void Loop::restore(const fs::path& checkpoint) {
  try {
    const auto state = checkpoint::read_state_json(checkpoint);
    progress_ = progress_from(state);
    last_line_ = line_from(state);
    if (state.contains("divergence")) divergence_ = DivergenceWatch::from_json(state.at("divergence"));
    compare_inputs(state, checkpoint);
    compare_schedule(state);
    checkpoint::read_run_state(checkpoint, *policy_.model, *optimizer_);
  } catch (const nlohmann::json::exception& error) {
    throw base::CheckpointError(base::concat(checkpoint.string(), ": its state.json is not that of a run (", error.what(), ")"));
  }
  policy_.model->release_sampling_weights();
  saved_step_ = progress_.step;
  good_step_ = store_.good();
  checked_truncated_ = true;
  base::log_info(base::concat("resumed at step ", progress_.step, " from ", checkpoint.string()));
}

// Rank 0 alone writes that file, and may be about to.
void Loop::look_for_interruption(const fs::path& checkpoint) {
  const bool missing = metrics::last_step(folder_ / "metrics.jsonl") < progress_.step;
  if (communicator_.all_gather({missing ? 1.0 : 0.0})[0][0] > 0.0) interrupted_ = checkpoint::read_state_json(checkpoint);
}

Outcome Loop::run() {
  begin();
  const Outcome outcome = train_to_the_end();
  watchdog_.reset();
  wait_for_checkpoint();
  communicator_.enter_phase("the end");
  communicator_.barrier("the end");
  if (outcome == Outcome::kStopped) {
    base::log_info(base::concat("stopped by a signal after step ", progress_.step, "; start again to continue"));
  } else if (progress_.step > first_step_) {
    base::log_info(base::concat("finished at step ", progress_.step, " in ", metrics::duration(run_timer_.seconds()), ": ", folder_.string()));
  }
  if (outcome == Outcome::kFinished && lost_lines_ > 0) {
    throw base::IoError(base::concat("the run is finished, but ", lost_lines_, " of its metrics lines could not be written to stdout; ",
                                     (folder_ / "metrics.jsonl").string(), " has them all"));
  }
  return outcome;
}

Outcome Loop::train_to_the_end() {
  first_step_ = progress_.step;
  if (interrupted_) finish_interrupted_step();
  if (progress_.step >= total_steps_ && !stops()) {
    base::log_info(base::concat(folder_.string(), ": finished at step ", progress_.step,
                                "; raise trainer.steps or data.epochs to continue"));
    return Outcome::kFinished;
  }
  base::log_info(resolved_choices(config_, policy_, static_cast<int64_t>(prompts_.size()), total_steps_));
  if (progress_.step == 0 && !eval_sets_.empty()) {
    metrics::MetricsLine line;
    if (evaluate_into(line, 0)) log(0, line);
  }
  status_.step = progress_.step;
  run_timer_ = metrics::Timer();
  while (progress_.step < total_steps_ && !stops()) train_step();
  if (!stopping_) return Outcome::kFinished;
  if (saved_step_ != progress_.step && progress_.step > 0) save_checkpoint(last_line_, true);
  return Outcome::kStopped;
}

// Whether a signal asks to stop: one answer for all ranks, though it reaches them at different moments.
bool Loop::stops() {
  stop_.look_for_readers();
  if (!stopping_) stopping_ = largest(stop_.asked() ? 1.0 : 0.0) > 0.0;
  return stopping_;
}

// The largest that a rank has held: of its GPU, or resident on the CPU.
double Loop::peak_bytes() const {
  const auto device = policy_.model->device();
  return largest(device.is_cuda() ? models::peak_device_bytes(device) : static_cast<double>(metrics::peak_memory_bytes()));
}

double Loop::largest(double value) const {
  for (const auto& theirs : communicator_.all_gather({value})) value = std::max(value, theirs[0]);
  return value;
}

// What all ranks put on the wire for this step (docs/distributed.md has the formula), and how even their shares of the
// prompts were.
void Loop::add_exchange(metrics::MetricsLine& line, const StepStats& stats) const {
  if (communicator_.size() == 1) return;
  double rollout = 0.0;
  double update = 0.0;
  for (const auto& theirs : communicator_.all_gather({static_cast<double>(stats.rollout_bytes), static_cast<double>(stats.update_bytes)})) {
    rollout += theirs[0];
    update += theirs[1];
  }
  line.add("bytes/rollout", rollout);
  line.add("bytes/update", update);
  line.add("prompts/fewest", static_cast<double>(stats.fewest_prompts));
  line.add("prompts/most", static_cast<double>(stats.most_prompts));
}

// The step of the checkpoint this run starts from, when its evaluation or its line in metrics.jsonl is still missing.
void Loop::finish_interrupted_step() {
  const auto state = *std::exchange(interrupted_, std::nullopt);
  auto line = line_from(state);
  if (!state.at("evaluated").get<bool>() && !evaluate_into(line, progress_.step)) return;
  for (const char* name : {"time/checkpoint", "time/step"}) line.add(name, 0.0);
  line.add("memory/peak_bytes", peak_bytes());
  log(progress_.step, line);
}

std::vector<Prompt> Loop::take_prompts(std::vector<uint64_t>& draws) const {
  std::vector<Prompt> prompts;
  for (int64_t q = 0; q < config_.rollout.prompts_per_step; ++q) {
    draws.push_back(progress_.next_draw + static_cast<uint64_t>(q));
    prompts.push_back(prompts_[static_cast<size_t>(sampler_->row_of(draws.back()))]);
  }
  return prompts;
}

double Loop::predict_dead(const std::vector<Prompt>& prompts) const {
  double expected = 0.0;
  for (const Prompt& prompt : prompts) expected += progress_.accuracy.dead_probability(prompt.row, config_.rollout.group_size);
  return expected;
}

void Loop::record_accuracy(const RolloutBatch& batch) {
  for (size_t q = 0; q < batch.prompts.size(); ++q) {
    int64_t right = 0;
    for (int64_t i = batch.group_offsets[q]; i < batch.group_offsets[q + 1]; ++i) {
      right += batch.rollouts[static_cast<size_t>(i)].score.verdict.kind == reward::Verdict::Kind::kRight ? 1 : 0;
    }
    progress_.accuracy.record(batch.prompts[q].row, right, batch.group_offsets[q + 1] - batch.group_offsets[q]);
  }
}

void Loop::train_step() {
  metrics::Timer step_timer;
  const int64_t step = progress_.step + 1;
  std::vector<uint64_t> draws;
  auto prompts = take_prompts(draws);
  const double dead_predicted = predict_dead(prompts);
  StepContext context{.config = config_,
                      .policy = policy_,
                      .reference = reference_.get(),
                      .engine = *engine_,
                      .reward = *reward_,
                      .optimizer = *optimizer_,
                      .communicator = communicator_,
                      .step = step,
                      .total_updates = total_steps_ * config_.trainer.updates_per_step * config_.trainer.epochs_per_step,
                      .should_stop = [this] { return goes_on_and(stop_.drops_step()); },
                      .on_progress = [this](const StepProgress& progress) { note_progress(progress); },
                      .micro_batch_tokens = micro_batch_tokens_};
  status_.step = step;
  status_.rollout = {};
  status_.update = {};
  std::optional<StepProfile> profile;
  if (profile_ && step == first_step_ + 2) profile.emplace(policy_.model->device());  // the first one also warms up
  stop_.begin_step(step);
  watchdog_->enter(base::concat("step ", step, ", rollout"));
  const StepResult result = take_step(context, std::move(prompts), draws);
  micro_batch_tokens_ = context.micro_batch_tokens;
  if (profile) profile->write(folder_ / "profile" / base::concat("step-", step, ".rank-", communicator_.rank(), ".json"));
  if (result.stopped) {
    base::log_info(base::concat("step ", step, " is dropped, and repeated by the next start"));
    stopping_ = true;
    return;
  }
  stop_.end_step();
  progress_.step = step;
  progress_.next_draw += draws.size();
  progress_.rollouts_total += static_cast<int64_t>(result.batch.rollouts.size());
  record_accuracy(result.batch);

  if (writes()) write_rollouts(rollouts_path(folder_, step), step, result.batch, config_.logging.rollouts_per_step);
  if (tensorboard_) add_rollouts(*tensorboard_, step, static_cast<double>(std::time(nullptr)), result.batch);
  auto line = metrics_of(result, dead_predicted, progress_.rollouts_total);
  add_exchange(line, result.stats);
  warn_truncated(result.stats, static_cast<int64_t>(result.batch.rollouts.size()));
  act_on(look_for_divergence(result), result, line);
  // Gloo's threads take large buffers from heaps of their own, which would otherwise grow by 0.1 MB a step and give nothing back.
  if (communicator_.size() > 1 && step % 10 == 0) ::malloc_trim(0);
  if (finish_step(std::move(line), step_timer)) {
    show_result(result, step_timer.seconds());
  }
}

// Evaluation, checkpoint and the line in metrics.jsonl. False when a signal ended the evaluation: the checkpoint then
// holds the unfinished line.
bool Loop::finish_step(metrics::MetricsLine line, const metrics::Timer& step_timer) {
  const bool evaluated = !evaluates_at(progress_.step) || evaluate_into(line, progress_.step);
  metrics::Timer checkpoint_timer;
  if (!evaluated || saves_at(progress_.step)) save_checkpoint(line, evaluated);
  last_line_ = line;
  if (!evaluated) return false;
  line.add("time/checkpoint", checkpoint_timer.seconds());
  line.add("time/step", step_timer.seconds());
  line.add("memory/peak_bytes", peak_bytes());
  log(progress_.step, line);
  return true;
}

// At this run's own pace so far, evaluations and checkpoints included.
double Loop::seconds_left() const {
  const auto done = static_cast<double>(progress_.step - first_step_);
  return run_timer_.seconds() / done * static_cast<double>(total_steps_ - progress_.step);
}

void Loop::warn_truncated(const StepStats& stats, int64_t rollouts) {
  if (std::exchange(checked_truncated_, true) || stats.truncated * 10 <= rollouts * 9) return;
  base::log_warning(base::concat(stats.truncated, " of ", rollouts, " completions of the first step reached the length limit. "
                                 "Likely causes: no stop id of this model is known (rollout.stop_ids), a template it was not "
                                 "trained with (model.template), or rollout.max_new_tokens ", config_.rollout.max_new_tokens,
                                 " is too small"));
}

// Any rank may be the one whose sampler finds that the weights are of no use any more.
StepResult Loop::take_step(StepContext& context, std::vector<Prompt> prompts, const std::vector<uint64_t>& draws) {
  try {
    return grpo_step(context, std::move(prompts), draws);
  } catch (const rollout::NonFiniteLogits& error) {
    throw base::Error(base::concat("step ", context.step, ": ", error.what(), way_back()));
  }
}

std::vector<Finding> Loop::look_for_divergence(const StepResult& result) {
  const StepStats& stats = result.stats;
  const auto rollouts = static_cast<double>(result.batch.rollouts.size());
  auto findings = divergence_.look_at(progress_.step, {.skipped_updates = optimizer_->consecutive_skips(),
                                                       .ratio_max = stats.update.ratio_max,
                                                       .reward_mean = stats.reward_mean,
                                                       .reward_std = stats.reward_std,
                                                       .length_mean = static_cast<double>(stats.tokens_completion) / rollouts});
  if (!divergence_.suspects() && stats.update.applied && saved_step_ > 0) good_step_ = saved_step_;
  return findings;
}

// Keeps what shows the sign, and the checkpoint to go back to; ends the run where trainer.stop_on asks for it.
void Loop::act_on(const std::vector<Finding>& findings, const StepResult& result, const metrics::MetricsLine& line) {
  if (writes()) store_.mark_good(divergence_.named() ? good_step_ : std::nullopt);
  if (findings.empty()) return;
  const int64_t step = progress_.step;
  if (writes()) write_rollouts(folder_ / "diverged" / (checkpoint::step_name(step) + ".jsonl"), step, result.batch, std::numeric_limits<int64_t>::max());
  for (const Finding& finding : findings) {
    if (!stops_on(config_.trainer.stop_on, finding.kind)) base::log_warning(finding.text);
  }
  for (const Finding& finding : findings) {
    if (!stops_on(config_.trainer.stop_on, finding.kind)) continue;
    log(step, line);
    throw base::Error(base::concat("step ", step, ": ", finding.text, way_back()));
  }
}

// For the end of an error that says that the weights are of no use any more. Marks the checkpoint that it names.
std::string Loop::way_back() {
  const std::string advice = "; try a smaller optimizer.lr in a run of another name";
  if (!good_step_) return "; no checkpoint is known to be good" + advice;
  store_.mark_good(good_step_);
  const std::string good = store_.path_of(*good_step_).string();
  return base::concat("; the newest checkpoint that is known to be good, and is kept, is ", good, " (continue from it with --resume ", good, ")", advice);
}

bool Loop::evaluate_into(metrics::MetricsLine& line, int64_t step) {
  rollout::SamplingConfig sampling{.temperature = config_.eval.temperature,
                                   .top_p = config_.eval.top_p,
                                   .top_k = config_.eval.top_k,
                                   .max_new_tokens = config_.eval.max_new_tokens.value_or(config_.rollout.max_new_tokens),
                                   .stop_ids = policy_.stop_ids,
                                   .ignore_eos = false};
  const EvalContext context{.engine = engine_.get(),
                            .tokenizer = policy_.tokenizer.get(),
                            .sampling = sampling,
                            .samples = config_.eval.samples,
                            .greedy = config_.eval.greedy,
                            .seed = static_cast<uint64_t>(config_.run.seed),
                            .should_stop = [this] { return goes_on_and(stop_.drops_evaluation()); },
                            .verifier = reward::verifier_config(config_.reward.verifier),
                            .communicator = &communicator_};
  metrics::Timer timer;
  communicator_.enter_phase(base::concat("step ", step, ", evaluation"));
  watchdog_->enter(base::concat("step ", step, ", evaluation"));
  show_doing("evaluation");
  if (writes()) fs::create_directories(folder_ / "eval");
  std::vector<fs::path> outputs;
  for (const EvalSet& set : eval_sets_) outputs.push_back(writes() ? eval_path(folder_, step, set.name) : fs::path());
  const auto results = evaluate(eval_sets_, context, outputs);
  if (results.empty()) {
    stopping_ = true;
    return false;
  }
  for (const auto& result : results) {
    for (const auto& [name, value] : result.metrics()) line.add(name, value);
    base::log_info(base::concat("eval step ", step, "  ", result.name, "  mean@", result.samples, " ", result.mean_at_k, " [",
                                result.mean_interval.low, ", ", result.mean_interval.high, "]  pass@", result.samples, " ", result.pass_at_k));
  }
  show_doing("");
  line.add("time/eval", timer.seconds());
  return true;
}

// Broken weights must not take the place of good ones. Every rank holds the same, and comes to the same end.
void Loop::check_weights() {
  try {
    checkpoint::check_finite(*policy_.model);
  } catch (const base::Error& error) {
    throw base::Error(base::concat("step ", progress_.step, ": ", error.what(), ", so that no checkpoint was written", way_back()));
  }
}

nlohmann::json Loop::state_json(const metrics::MetricsLine& line, bool evaluated) const {
  auto state = to_json(progress_, config_, line, evaluated);
  state["total_steps"] = total_steps_;
  state["inputs"] = inputs_;
  state["divergence"] = divergence_.to_json();
  return state;
}

// Training waits for the copy in memory only, and the last checkpoint needs none; hashing and the disk go on beside it.
// One checkpoint at a time. Rank 0 writes it; with split state the others add their optimizer files.
void Loop::save_checkpoint(const metrics::MetricsLine& line, bool evaluated) {
  const int64_t step = progress_.step;
  communicator_.enter_phase(base::concat("step ", step, ", checkpoint"));
  const Watchdog::Pause pause(*watchdog_);  // large copies, and the disk may be slow
  wait_for_checkpoint();
  check_weights();
  communicator_.barrier("checkpoint");  // the last one's leftovers are gone before anyone writes the next
  const bool split = splits_optimizer_;
  const checkpoint::SaveOptions options{.export_model = config_.checkpoint.export_model,
                                        .tokenizer_source = config_.model.path,
                                        .copy = step < total_steps_ && !stopping_,
                                        .rank = split ? communicator_.rank() : 0,
                                        .ranks = split ? communicator_.size() : 1};
  saved_step_ = step;
  if (writes()) {
    auto write = checkpoint::run_state_writer(*policy_.model, *optimizer_, state_json(line, evaluated), options);
    const checkpoint::SavePlan plan{.keep = config_.checkpoint.keep, .bytes = write.bytes, .pinned = divergence_.suspects() ? good_step_ : std::nullopt};
    writing_ = std::async(std::launch::async, [this, step, split, plan, write = std::move(write)] {
      const metrics::Timer timer;
      store_.save(step, plan, [&](const fs::path& folder) {
        write(folder);
        if (split) collect_optimizer_files(folder, step);
      });
      stop_.note_save(timer.seconds());
    });
  } else if (split) {
    auto write = checkpoint::optimizer_writer(*policy_.model, *optimizer_, options);
    writing_ = std::async(std::launch::async, [this, step, write = std::move(write)] {
      const auto folder = store_.folder_of_rank(step, communicator_.rank());
      fs::remove_all(folder);
      fs::create_directories(folder);
      const io::WriteRecord record;
      write(folder);
      checkpoint::write_part_manifest(folder, record);
    });
  }
}

// Waits for the other ranks' files: each appears whole.
void Loop::collect_optimizer_files(const fs::path& folder, int64_t step) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(config_.distributed.timeout_s);
  for (int64_t rank = 1; rank < communicator_.size(); ++rank) {
    const auto name = checkpoint::optimizer_file(rank, communicator_.size());
    const auto theirs = store_.folder_of_rank(step, rank);
    if (fs::exists(folder / name)) continue;  // taken before a write failed that is now tried again
    while (!checkpoint::part_is_complete(theirs)) {
      if (std::chrono::steady_clock::now() > deadline) {
        throw base::IoError(base::concat((theirs / name).string(), ": rank ", rank, " did not write its part in ",
                                         config_.distributed.timeout_s, " s"));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    checkpoint::take_part(theirs, name, folder);
    fs::remove_all(theirs);
  }
}

// Throws what went wrong while the checkpoint was written.
void Loop::wait_for_checkpoint() {
  if (writing_.valid()) writing_.get();
}

// A disk that is full is told at once, not at the next checkpoint.
void Loop::check_checkpoint() {
  if (writing_.valid() && writing_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) writing_.get();
}

bool Loop::evaluates_at(int64_t step) const {
  return !eval_sets_.empty() && (step % config_.eval.every_steps == 0 || step == total_steps_);
}

bool Loop::saves_at(int64_t step) const {
  return step == total_steps_ || (config_.checkpoint.every_steps > 0 && step % config_.checkpoint.every_steps == 0);
}

void Loop::log(int64_t step, const metrics::MetricsLine& line) {
  if (!writes()) return;
  const auto now = static_cast<double>(std::time(nullptr));
  metrics_->write(step, now, line);
  try {
    console_.metrics_line(step, now, line);
  } catch (const base::IoError& error) {  // metrics.jsonl has the line; the end of the run says that stdout has not
    if (lost_lines_++ == 0) base::log_error(error.what());
  }
  if (prometheus_) prometheus_->set(step, line);
  if (tensorboard_) tensorboard_->add_scalars(step, now, line);
}

void Loop::show_doing(const std::string& what) {
  status_.doing = what;
  if (writes()) console_.show(status_, /*now=*/true);
}

// Between decode steps and micro-batches: the run makes progress.
bool Loop::goes_on_and(bool answer) {
  watchdog_->beat();
  return answer;
}

void Loop::note_progress(const StepProgress& progress) {
  const bool rollout = progress.phase == StepProgress::Phase::kRollout;
  watchdog_->enter(base::concat("step ", status_.step, rollout ? ", rollout" : ", update"));
  check_checkpoint();
  show(progress);
}

void Loop::show(const StepProgress& progress) {
  if (!writes()) return;
  auto& phase = progress.phase == StepProgress::Phase::kRollout ? status_.rollout : status_.update;
  phase = {.done = progress.done, .total = progress.total, .tokens = progress.tokens};
  status_.elapsed_s = run_timer_.seconds();
  console_.show(status_);
}

void Loop::show_result(const StepResult& result, double step_s) {
  const StepStats& stats = result.stats;
  const auto per_second = [](int64_t tokens, double seconds) { return seconds > 0.0 ? static_cast<double>(tokens) / seconds : 0.0; };
  status_.elapsed_s = run_timer_.seconds();
  status_.left_s = seconds_left();
  status_.rewards.push_back(stats.reward_mean);
  status_.accuracy = stats.accuracy;
  status_.live_share = static_cast<double>(stats.groups_live) / static_cast<double>(result.batch.num_groups());
  status_.rollout_tokens_per_s = per_second(stats.tokens_completion, stats.rollout_s);
  status_.update_tokens_per_s = per_second(stats.update.tokens, stats.update_s);
  status_.memory_bytes = static_cast<double>(metrics::peak_memory_bytes());
  console_.show(status_, /*now=*/progress_.step == total_steps_);
  console_.step_line(summary_of(result, progress_.step, total_steps_, step_s, status_.left_s));
}

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
  throw_when_memory_runs_out();
  const auto communicator = dist::make_communicator(config.distributed);
  const std::string resume = options.fork.empty() ? options.resume : resume_of_fork(config.run, options.fork);
  check_fork_begun(config.run, resume);
  RunStart start(config.run, resume, *communicator);
  std::optional<Fork> fork;
  if (start.checkpoint()) {
    const bool own = resume == "auto";
    const fs::path saved = own ? start.folder() / "config.yaml" : start.checkpoint()->parent_path().parent_path() / "config.yaml";
    const auto changes = changed_keys(saved, config, !own);
    const bool forks = !options.fork.empty() && !own;
    if (forks) fork = Fork{.checkpoint = *start.checkpoint(), .changes = changes};
    if (!forks) refuse_changes(changes, *start.checkpoint());
  }
  return Loop(config, start, fork, *communicator, options.profile).run();
}

std::string describe_plan(TrainConfig config, const TrainOptions& options, int64_t ranks, std::optional<double> memory_gb,
                          const PlanAssumptions& assumptions) {
  if (assumptions.rows) config.data.train.clear();
  resolve_paths(config, options.config_folder);
  return plan_text(config, ranks, memory_gb, assumptions);
}

int64_t request_stop() { return note_signal(); }

}  // namespace grpo::trainer
