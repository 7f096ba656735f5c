#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "grpo/checkpoint/run_state.h"
#include "grpo/checkpoint/store.h"
#include "trainer/run.h"
#include "trainer/stopping.h"

namespace grpo::trainer {

/// Saves a run beside its training: training waits for the copy in memory only, and the last checkpoint needs none;
/// hashing and the disk go on in a thread. One checkpoint at a time. Rank 0 writes it; with split state the others add
/// their optimizer files.
class Checkpointing {
 public:
  /// stop learns how long saving takes. All outlive it.
  Checkpointing(const Run& run, const std::filesystem::path& run_folder, Stopping& stop);

  /// How a checkpoint is saved.
  struct Kind {
    bool copy = true;       // training goes on meanwhile
    bool pin_good = false;  // the last good checkpoint is kept, however many newer ones there are
    bool best = false;      // this one is the best so far (checkpoint.keep_best)
  };

  /// The run as it is after `step`. state: for state.json. A collective. Throws
  /// base::Error when the weights are not finite, so that they do not take the place of good ones, and what went wrong
  /// with the one before.
  void save(int64_t step, const nlohmann::json& state, const Kind& kind);

  /// Waits for the one that is being written, or looks whether it has ended. Throws what went wrong with it.
  void wait();
  void check();

  /// Of the newest checkpoint, on disk or being written; -1: none.
  int64_t saved_step() const { return saved_step_; }
  void resumed_from(int64_t step);

  /// An update of the weights that were saved last showed no sign of divergence.
  void note_good() {
    if (saved_step_ > 0) good_step_ = saved_step_;
  }
  /// Marks the last good checkpoint, or takes the mark away.
  void mark_good(bool marked);
  /// The checkpoint of `step`, which is there, is the best so far.
  void mark_best(int64_t step);
  /// For the end of an error that says that the weights are of no use any more. Marks the checkpoint that it names.
  std::string way_back();

 private:
  void check_weights(int64_t step);
  void write(int64_t step, const nlohmann::json& state, const checkpoint::SaveOptions& options, const Kind& kind);
  checkpoint::StateWriter critic_writer(int64_t step, checkpoint::SaveOptions options) const;
  void write_part(int64_t step, const checkpoint::SaveOptions& options);
  void collect_optimizer_files(const std::filesystem::path& folder, int64_t step) const;

  const Run& run_;
  Stopping& stop_;
  checkpoint::Store store_;
  int64_t saved_step_ = -1;
  std::optional<int64_t> good_step_;  // of the newest checkpoint after which an update showed no sign of divergence
  std::future<void> writing_;         // last, so that it ends before what it reads
};

}  // namespace grpo::trainer
