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

/// How a step is written in names of files and folders: "step_00000050".
std::string step_name(int64_t step);

/// The step of a name that is exactly of this form; nullopt for any other name.
std::optional<int64_t> step_of_name(const std::string& name);

/// Whether only a save that was interrupted can have left this name beside the checkpoints: ".tmp-step_00000020",
/// ".tmp-old-step_00000020" and ".tmp-step_00000020-rank_1".
bool is_unfinished_save(const std::string& name);

/// Why a checkpoint is kept although newer ones exist.
enum class Mark {
  kGood,  // the last one before a run showed signs of divergence; noted in the file `last_good`
  kBest,  // the one with the largest value of checkpoint.keep_best; noted in the file `best`
};

/// How a checkpoint is saved.
struct SavePlan {
  int64_t keep = 3;                    // how many of the newest checkpoints are kept
  uint64_t bytes = 0;                  // its size, or a lower bound; 0 if unknown
  std::optional<int64_t> pinned = {};  // a step that is kept besides the newest
  bool best = false;                   // this checkpoint becomes Mark::kBest
  /// Pauses before each further attempt of a failed write; after the last attempt save() throws.
  std::vector<std::chrono::milliseconds> retry_after = {std::chrono::milliseconds(500), std::chrono::seconds(3)};
};

/// The folder `checkpoints/` of a run. Each `step_<8 digits>` in it is complete, with a MANIFEST of sizes and hashes. A
/// checkpoint is written to `.tmp-step_...`, synced to disk, read back and only then renamed. A crash at any moment
/// therefore leaves the whole checkpoint, or nothing but a `.tmp-*` folder that the next start removes. Everything else
/// in the folder is left alone, also a `step_*` folder without a MANIFEST or with files that its MANIFEST does not
/// list, since this program did not make it so.
class Store {
 public:
  explicit Store(std::filesystem::path folder);

  /// Calls write(folder) on a temporary folder, adds the manifest, syncs, compares the files on disk with the manifest,
  /// and renames the folder. A checkpoint of the same step is replaced. A failed attempt is repeated, so `write` may be
  /// called again on the same folder. Afterwards old checkpoints are pruned (see prune). Throws base::IoError (disk
  /// full, ...); earlier checkpoints are then as they were.
  void save(int64_t step, const SavePlan& plan, const std::function<void(const std::filesystem::path&)>& write);

  /// Steps with a complete checkpoint, oldest first. A checkpoint counts as complete if it has
  /// a MANIFEST; verify() checks it.
  std::vector<int64_t> steps() const;
  bool has(int64_t step) const;  // whether steps() has it
  /// Steps that have a folder, complete or not, oldest first.
  std::vector<int64_t> all_steps() const;
  std::filesystem::path path_of(int64_t step) const;

  /// Marks the complete checkpoint of `step` as `mark` and takes the mark from any other; nullopt only takes it away.
  /// The mark is kept in a file, so that prune() spares the checkpoint in later processes too.
  void mark(Mark mark, std::optional<int64_t> step) const;
  /// The step that has this mark, if its checkpoint still exists.
  std::optional<int64_t> marked(Mark mark) const;

  /// Where a rank other than 0 puts its part of a checkpoint until rank 0 takes it. remove_leftovers() removes it.
  std::filesystem::path folder_of_rank(int64_t step, int64_t rank) const;

  /// Removes what an interrupted save left behind. What the file system refuses to remove stays, with a warning.
  void remove_leftovers();
  /// Removes old checkpoints and returns their steps. It spares the `keep` newest, `pinned`, marked ones, links,
  /// those with files that their MANIFEST does not list, and those that the file system does not let go (a warning
  /// names such a checkpoint once). Only complete checkpoints are removed.
  std::vector<int64_t> prune(int64_t keep, std::optional<int64_t> pinned = {});

 private:
  void finish(int64_t step, const std::filesystem::path& temporary);
  void put_in_place(int64_t step, const std::filesystem::path& temporary);
  void sync_name(int64_t step) const;
  bool is_ours_alone(int64_t step);
  bool remove(const std::filesystem::path& path);

  std::filesystem::path folder_;
  std::set<int64_t> spared_;    // steps about which a warning said that they are kept
  std::set<std::string> left_;  // names about which a warning said that they could not be removed
};

/// Writes the MANIFEST of a part of a checkpoint that one rank wrote; to be called after the part's files are written.
void write_part_manifest(const std::filesystem::path& folder, const io::WriteRecord& record);
/// Moves a part's file into the folder `to` and adds it to the thread's WriteRecord with the size and hash that the
/// part's MANIFEST promises. REQUIRES: part_is_complete(part).
void take_part(const std::filesystem::path& part, const std::string& file, const std::filesystem::path& to);
bool part_is_complete(const std::filesystem::path& part);

/// Checks every file of a checkpoint against its MANIFEST: presence, size and XXH3-128. Throws base::CheckpointError
/// naming the first file that differs.
void verify(const std::filesystem::path& checkpoint);

}  // namespace grpo::checkpoint
