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

/// Saves a run beside its training. Training waits only until the state has been copied in memory; a thread hashes and
/// writes it. The last checkpoint needs no copy. One checkpoint is written at a time. Rank 0 writes it; where ranks
/// split the optimizer's state, the others add files of theirs.
class Checkpointing {
 public:
  /// `stop` is told how long saving takes. What is given must outlive this object.
  Checkpointing(const Run& run, const std::filesystem::path& run_folder, Stopping& stop);

  /// How a checkpoint is saved.
  struct Kind {
    bool copy = true;       // copies the state, because training goes on while it is written
    bool pin_good = false;  // keeps the last good checkpoint, however many newer ones there are
    bool best = false;      // marks this one as the best so far (checkpoint.keep_best)
  };

  /// Saves the run as it is after `step`. state: what state.json is to hold. Waits for the checkpoint before, and
  /// throws what went wrong with it. Throws base::Error when weights are not finite, so that they do not take the place
  /// of good ones. A collective.
  void save(int64_t step, const nlohmann::json& state, const Kind& kind);

  /// Waits for the checkpoint that is being written (wait), or only looks whether it has been written (check). Both
  /// throw what went wrong with it.
  void wait();
  void check();

  /// The step of the run's newest checkpoint, which may still be being written; -1: it has none.
  int64_t saved_step() const { return saved_step_; }
  /// Says which checkpoint the run was restored from, and what good_step() was when that one was saved. A checkpoint of
  /// another run is none of this one's: it can be neither marked nor kept here.
  void resumed_from(const std::filesystem::path& checkpoint, int64_t step, std::optional<int64_t> good_step);

  /// Says that a step which began after the last checkpoint showed no sign of divergence, so that its weights are good.
  void note_good() {
    if (saved_step_ > 0) good_step_ = saved_step_;
  }
  /// The newest checkpoint that is known to be good. It is part of the run's state, because a sign of divergence that
  /// shows when the run is interrupted may be noticed only after the resume.
  std::optional<int64_t> good_step() const { return good_step_; }
  /// Marks the last good checkpoint in the store, or takes the mark away.
  void mark_good(bool marked);
  /// Whether the run has a checkpoint of `step`.
  bool has(int64_t step) const { return store_.has(step); }
  /// Marks the checkpoint of `step`, which exists, as the best so far.
  void mark_best(int64_t step);
  /// The end of an error message that says that the weights are of no use any more: how to go back to the last good
  /// checkpoint. Marks that checkpoint.
  std::string way_back();

 private:
  std::optional<int64_t> good_that_is_there() const;
  void wait_for_files();
  void check_weights(int64_t step);
  void write(int64_t step, const nlohmann::json& state, const checkpoint::SaveOptions& options, const Kind& kind);
  checkpoint::StateWriter critic_writer(int64_t step, checkpoint::SaveOptions options) const;
  void write_part(int64_t step, const checkpoint::SaveOptions& options);
  void collect_optimizer_files(const std::filesystem::path& folder, int64_t step) const;

  const Run& run_;
  Stopping& stop_;
  checkpoint::Store store_;
  int64_t saved_step_ = -1;
  std::optional<int64_t> good_step_;  // the newest checkpoint after which a step showed no sign of divergence
  std::future<void> writing_;         // the last member, so that writing ends before what it reads is destroyed
};

}  // namespace grpo::trainer
