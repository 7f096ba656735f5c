#include "grpo/checkpoint/store.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"

namespace grpo::checkpoint {
namespace fs = std::filesystem;
namespace {

constexpr const char* kManifest = "MANIFEST";
constexpr const char* kTemporaryPrefix = ".tmp-";

std::optional<int64_t> step_of(const std::string& name) {
  if (name.size() != 13 || name.rfind("step_", 0) != 0) return std::nullopt;
  if (!std::all_of(name.begin() + 5, name.end(), [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  return std::stoll(name.substr(5));
}

std::vector<fs::path> files_below(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(fs::relative(entry.path(), folder));
  }
  std::sort(files.begin(), files.end());
  return files;
}

void write_manifest(const fs::path& folder) {
  nlohmann::json files = nlohmann::json::object();
  for (const auto& file : files_below(folder)) {
    files[file.generic_string()] = {{"bytes", fs::file_size(folder / file)}, {"xxh3_128", io::hash_file(folder / file)}};
  }
  io::write_json(folder / kManifest, {{"format", 1}, {"files", files}});
}

void sync_tree(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) io::sync_path(entry.path());
  io::sync_path(folder);
}

}  // namespace

std::string step_name(int64_t step) {
  char name[32];
  std::snprintf(name, sizeof name, "step_%08lld", static_cast<long long>(step));
  return name;
}

Store::Store(fs::path folder) : folder_(std::move(folder)) {}

fs::path Store::path_of(int64_t step) const { return folder_ / step_name(step); }

fs::path Store::folder_of_rank(int64_t step, int64_t rank) const {
  return folder_ / base::concat(kTemporaryPrefix, step_name(step), "-rank_", rank);
}

std::vector<int64_t> Store::steps() const {
  std::vector<int64_t> found;
  if (!fs::is_directory(folder_)) return found;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && fs::exists(entry.path() / kManifest)) found.push_back(*step);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void Store::save(int64_t step, int64_t keep, const std::function<void(const fs::path&)>& write) {
  const fs::path temporary = folder_ / (kTemporaryPrefix + step_name(step));
  try {
    fs::remove_all(temporary);
    fs::create_directories(temporary);
    write(temporary);
    write_manifest(temporary);
    sync_tree(temporary);
    const fs::path target = path_of(step);
    if (fs::exists(target)) {
      // A folder cannot be renamed over a full one: move the old one aside under a name that a start removes.
      const fs::path old = folder_ / (std::string(kTemporaryPrefix) + "old-" + step_name(step));
      fs::remove_all(old);
      fs::rename(target, old);
    }
    fs::rename(temporary, target);
    io::sync_path(folder_);
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove_all(temporary, ignored);
    throw base::IoError(base::concat(path_of(step).string(), ": the checkpoint could not be written: ", error.what()));
  }
  remove_leftovers();
  const auto all = steps();
  for (size_t i = 0; i + static_cast<size_t>(keep) < all.size(); ++i) fs::remove_all(path_of(all[i]));
}

void Store::remove_leftovers(std::optional<int64_t> last_step) {
  if (!fs::is_directory(folder_)) return;
  std::vector<fs::path> doomed;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    const auto step = step_of(name);
    const bool later = step && last_step && *step > *last_step;
    const bool incomplete = step && !fs::exists(entry.path() / kManifest);
    if (name.rfind(kTemporaryPrefix, 0) == 0 || later || incomplete) doomed.push_back(entry.path());
  }
  for (const auto& path : doomed) fs::remove_all(path);
}

void verify(const fs::path& checkpoint) {
  const fs::path manifest_path = checkpoint / kManifest;
  if (!fs::exists(manifest_path)) {
    throw base::CheckpointError(checkpoint.string() + ": no MANIFEST; not a complete checkpoint (expected a folder "
                                                      "checkpoints/step_<8 digits> of a run)");
  }
  const auto manifest = io::read_json(manifest_path);
  for (const auto& [name, expected] : manifest.at("files").items()) {
    const fs::path file = checkpoint / name;
    if (!fs::exists(file)) throw base::CheckpointError(file.string() + ": listed in MANIFEST but missing");
    const auto bytes = fs::file_size(file);
    if (bytes != expected.at("bytes").get<uintmax_t>()) {
      throw base::CheckpointError(base::concat(file.string(), ": ", bytes, " bytes, expected ",
                                               expected.at("bytes").get<uintmax_t>(), " (MANIFEST)"));
    }
    if (io::hash_file(file) != expected.at("xxh3_128").get<std::string>()) {
      throw base::CheckpointError(file.string() + ": contents differ from MANIFEST; use an older checkpoint with --resume DIR");
    }
  }
}

}  // namespace grpo::checkpoint
