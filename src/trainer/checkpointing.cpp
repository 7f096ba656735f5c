#include "trainer/checkpointing.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/io/file.h"
#include "grpo/metrics/timer.h"
#include "trainer/resume.h"

namespace grpo::trainer {
namespace fs = std::filesystem;

Checkpointing::Checkpointing(const Run& run, const fs::path& run_folder, Stopping& stop)
    : run_(run), stop_(stop), store_(run_folder / "checkpoints") {}

// A checkpoint may also have been marked as good later than the one that the run goes back to was saved. Marks of later
// checkpoints do not count, because these are moved aside.
void Checkpointing::resumed_from(const fs::path& checkpoint, int64_t step, std::optional<int64_t> good_step) {
  if (fs::weakly_canonical(checkpoint) != fs::weakly_canonical(store_.path_of(step))) return;
  saved_step_ = step;
  const auto marked = store_.marked(checkpoint::Mark::kGood);
  good_step_ = marked && *marked <= step ? std::max(marked, good_step) : good_step;
}

// While no sign of divergence showed, newer checkpoints may have taken the place of the last good one (with
// checkpoint.keep 1 the next one does).
std::optional<int64_t> Checkpointing::good_that_is_there() const {
  return good_step_ && store_.has(*good_step_) ? good_step_ : std::nullopt;
}

void Checkpointing::mark_good(bool marked) {
  if (run_.writes()) store_.mark(checkpoint::Mark::kGood, marked ? good_that_is_there() : std::nullopt);
}

void Checkpointing::mark_best(int64_t step) {
  if (run_.writes()) store_.mark(checkpoint::Mark::kBest, step);
}

std::string Checkpointing::way_back() {
  const std::string advice = "; try a smaller optimizer.lr in a run of another name";
  wait_for_files();
  const auto step = good_that_is_there();
  if (!step) return "; no checkpoint is known to be good" + advice;
  if (run_.writes()) store_.mark(checkpoint::Mark::kGood, step);
  const std::string good = store_.path_of(*step).string();
  return base::concat("; the newest checkpoint that is known to be good, and is kept, is ", good,
                      " (continue from it with --resume ", good, ")", advice);
}

// Every rank holds the same weights, so all of them throw or none does.
void Checkpointing::check_weights(int64_t step) {
  try {
    checkpoint::check_finite(*run_.policy.model);
    if (run_.critic) checkpoint::check_finite(*run_.critic);
  } catch (const base::Error& error) {
    throw base::Error(
        base::concat("step ", step, ": ", error.what(), ", so that no checkpoint was written", way_back()));
  }
}

void Checkpointing::save(int64_t step, const nlohmann::json& state, const Kind& kind) {
  run_.communicator.enter_phase(base::concat("step ", step, ", checkpoint"));
  wait();
  check_weights(step);
  run_.communicator.barrier("checkpoint");  // rank 0 has collected the last one's parts before a rank writes new ones
  const bool split = run_.splits_optimizer;
  const checkpoint::SaveOptions options{.export_model = run_.config.checkpoint.export_model,
                                        .tokenizer_source = run_.config.model.path,
                                        .copy = kind.copy,
                                        .reference = run_.has_moved_reference(step) ? run_.reference.get() : nullptr,
                                        .rank = split ? run_.communicator.rank() : 0,
                                        .ranks = split ? run_.communicator.size() : 1};
  saved_step_ = step;
  if (run_.writes()) {
    write(step, state, options, kind);
  } else if (split) {
    write_part(step, options);
  }
}

void Checkpointing::write(int64_t step, const nlohmann::json& state, const checkpoint::SaveOptions& options,
                          const Kind& kind) {
  auto write = checkpoint::run_state_writer(*run_.policy.model, *run_.optimizer, state, options);
  std::optional<checkpoint::StateWriter> write_critic;
  if (run_.critic) write_critic = critic_writer(step, options);
  const checkpoint::SavePlan plan{.keep = run_.config.checkpoint.keep,
                                  .bytes = write.bytes + (write_critic ? write_critic->bytes : 0),
                                  .pinned = kind.pin_good ? good_step_ : std::nullopt,
                                  .best = kind.best};
  writing_ = std::async(std::launch::async,
                        [this, step, plan, write = std::move(write), write_critic = std::move(write_critic)] {
                          const metrics::Timer timer;
                          store_.save(step, plan, [&](const fs::path& folder) {
                            write(folder);
                            if (write_critic) {
                              fs::create_directories(folder / kCriticFolder);
                              (*write_critic)(folder / kCriticFolder);
                            }
                            if (run_.splits_optimizer) collect_optimizer_files(folder, step);
                          });
                          stop_.note_save(timer.seconds());
                        });
}

// Every rank holds the whole critic, so rank 0 saves it alone. Its folder is made like a checkpoint.
checkpoint::StateWriter Checkpointing::critic_writer(int64_t step, checkpoint::SaveOptions options) const {
  options.reference = nullptr;
  options.rank = 0;
  options.ranks = 1;
  return checkpoint::run_state_writer(*run_.critic, *run_.critic_optimizer, {{"step", step}}, options);
}

void Checkpointing::write_part(int64_t step, const checkpoint::SaveOptions& options) {
  auto write = checkpoint::optimizer_writer(*run_.policy.model, *run_.optimizer, options);
  writing_ = std::async(std::launch::async, [this, step, write = std::move(write)] {
    const auto folder = store_.folder_of_rank(step, run_.communicator.rank());
    fs::remove_all(folder);
    fs::create_directories(folder);
    const io::WriteRecord record;
    write(folder);
    checkpoint::write_part_manifest(folder, record);
  });
}

// Waits for the files of the other ranks and moves them into the checkpoint. A rank's part counts once it is complete.
void Checkpointing::collect_optimizer_files(const fs::path& folder, int64_t step) const {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(run_.config.distributed.timeout_s);
  for (int64_t rank = 1; rank < run_.communicator.size(); ++rank) {
    const auto name = checkpoint::optimizer_file(rank, run_.communicator.size());
    const auto theirs = store_.folder_of_rank(step, rank);
    if (fs::exists(folder / name)) continue;  // an earlier attempt, whose writing failed later, has moved it already
    while (!checkpoint::part_is_complete(theirs)) {
      if (std::chrono::steady_clock::now() > deadline) {
        throw base::IoError(base::concat((theirs / name).string(), ": rank ", rank, " did not write its part in ",
                                         run_.config.distributed.timeout_s, " s"));
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    checkpoint::take_part(theirs, name, folder);
    fs::remove_all(theirs);
  }
}

void Checkpointing::wait() {
  if (writing_.valid()) writing_.get();
}

// The last good checkpoint may still be being written. If that fails it is not there, and the error that is reported is
// the one that ends the run.
void Checkpointing::wait_for_files() {
  try {
    wait();
  } catch (const std::exception& error) {
    base::log_warning(error.what());
  }
}

void Checkpointing::check() {
  if (writing_.valid() && writing_.wait_for(std::chrono::seconds(0)) == std::future_status::ready) writing_.get();
}

}  // namespace grpo::trainer
