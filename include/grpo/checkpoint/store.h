#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace grpo::checkpoint {

/// "step_00000050": how steps are spelled in file and folder names.
std::string step_name(int64_t step);

/// The folder `checkpoints/` of a run: each `step_<8 digits>` in it is complete, with a MANIFEST of sizes and hashes.
/// A checkpoint is written to `.tmp-step_...`, synced to disk and renamed, so that a crash at any moment leaves either
/// the whole of it or nothing but a `.tmp-*` folder that the next start removes.
class Store {
 public:
  explicit Store(std::filesystem::path folder);

  /// Calls write(folder) on an empty temporary folder, then adds the manifest, syncs and renames. Afterwards only the
  /// `keep` newest checkpoints remain. Replaces a checkpoint of the same step. Throws base::IoError (disk full, ...),
  /// leaving earlier checkpoints as they were.
  void save(int64_t step, int64_t keep, const std::function<void(const std::filesystem::path&)>& write);

  /// Steps with a complete checkpoint, oldest first (by presence of the manifest; see verify).
  std::vector<int64_t> steps() const;
  std::filesystem::path path_of(int64_t step) const;

  /// Where a rank other than 0 puts its part of a checkpoint until rank 0 takes it; removed like any leftover.
  std::filesystem::path folder_of_rank(int64_t step, int64_t rank) const;

  /// Removes what an interrupted save left behind, and checkpoints of steps after `last_step` when given.
  void remove_leftovers(std::optional<int64_t> last_step = std::nullopt);

 private:
  std::filesystem::path folder_;
};

/// Checks every file of a checkpoint against its MANIFEST: present, size, XXH3-128. Throws base::CheckpointError naming
/// the first file that differs.
void verify(const std::filesystem::path& checkpoint);

}  // namespace grpo::checkpoint
