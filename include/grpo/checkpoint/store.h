#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "grpo/io/write_record.h"

namespace grpo::checkpoint {

/// "step_00000050": how steps are spelled in file and folder names.
std::string step_name(int64_t step);

/// The step of exactly such a name; nullopt for any other.
std::optional<int64_t> step_of_name(const std::string& name);

/// Why a checkpoint stays though it is not among the newest.
enum class Mark {
  kGood,  // the last one before a run showed signs of divergence: the file `last_good`
  kBest,  // the one with the largest value of checkpoint.keep_best: the file `best`
};

/// How a checkpoint is saved.
struct SavePlan {
  int64_t keep = 3;                    // newest checkpoints that stay
  uint64_t bytes = 0;                  // what it will take at least; 0: not known
  std::optional<int64_t> pinned = {};  // a step that stays beside them
  bool best = false;                   // this one becomes Mark::kBest
  /// Pauses before a failed write is tried again; then the failure stands.
  std::vector<std::chrono::milliseconds> retry_after = {std::chrono::milliseconds(500), std::chrono::seconds(3)};
};

/// The folder `checkpoints/` of a run: each `step_<8 digits>` in it is complete, with a MANIFEST of sizes and hashes.
/// A checkpoint is written to `.tmp-step_...`, synced to disk, read back and renamed, so that a crash at any moment
/// leaves either the whole of it or nothing but a `.tmp-*` folder that the next start removes. Nothing else in the
/// folder is ever removed, least of all a `step_*` folder without a MANIFEST or with files that its MANIFEST does not
/// list: somebody else made it so.
class Store {
 public:
  explicit Store(std::filesystem::path folder);

  /// Calls write(folder) on a temporary folder, then adds the manifest, syncs, compares what is on the disk with what
  /// was meant, and renames. A failed write is tried again (write must bear being called again on the same folder).
  /// Afterwards only the newest complete checkpoints remain. Replaces a checkpoint of the same step. Throws
  /// base::IoError (disk full, ...), leaving earlier checkpoints as they were.
  void save(int64_t step, const SavePlan& plan, const std::function<void(const std::filesystem::path&)>& write);

  /// Steps with a complete checkpoint, oldest first (by presence of the manifest; see verify).
  std::vector<int64_t> steps() const;
  /// Steps with any folder, oldest first, whole or not.
  std::vector<int64_t> all_steps() const;
  std::filesystem::path path_of(int64_t step) const;

  /// Marks the complete checkpoint of `step` (nullopt: none) in the mark's file; prune() leaves it alone, in later
  /// processes too. There is one of each mark.
  void mark(Mark mark, std::optional<int64_t> step) const;
  /// What is marked, as long as it is there.
  std::optional<int64_t> marked(Mark mark) const;

  /// Where a rank other than 0 puts its part of a checkpoint until rank 0 takes it; removed like any leftover.
  std::filesystem::path folder_of_rank(int64_t step, int64_t rank) const;

  /// Removes what an interrupted save left behind.
  void remove_leftovers();
  /// Removes all but the `keep` newest complete checkpoints, `pinned`, marked ones, links, and those with files of
  /// somebody else (a warning names one, once); returns the steps removed.
  std::vector<int64_t> prune(int64_t keep, std::optional<int64_t> pinned = {});

 private:
  void finish(int64_t step, const std::filesystem::path& temporary);
  void put_in_place(int64_t step, const std::filesystem::path& temporary);
  bool is_ours_alone(int64_t step);

  std::filesystem::path folder_;
  std::set<int64_t> spared_;  // steps of which a warning says that they stay
};

/// Writes the MANIFEST of a part of a checkpoint, which a rank wrote by itself, after the part's files.
void write_part_manifest(const std::filesystem::path& folder, const io::WriteRecord& record);
/// Moves a part's file, which is there once its MANIFEST is, into `to`, and notes for to's manifest what was meant.
void take_part(const std::filesystem::path& part, const std::string& file, const std::filesystem::path& to);
bool part_is_complete(const std::filesystem::path& part);

/// Checks every file of a checkpoint against its MANIFEST: present, size, XXH3-128. Throws base::CheckpointError naming
/// the first file that differs.
void verify(const std::filesystem::path& checkpoint);

}  // namespace grpo::checkpoint
