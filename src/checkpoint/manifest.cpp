#include "checkpoint/manifest.h"

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/file.h"
#include "grpo/io/hash.h"
#include "grpo/io/json.h"

namespace grpo::checkpoint {
namespace fs = std::filesystem;
namespace {

// Whether a name in a manifest stays inside the checkpoint's folder.
bool is_below(const std::string& name) {
  const fs::path path = fs::path(name).lexically_normal();
  return !name.empty() && path.is_relative() && *path.begin() != "..";
}

Manifest manifest_from(const nlohmann::json& json) {
  Manifest manifest;
  if (json.value("format", 1) != 1) throw base::CheckpointError("its format is not 1");
  for (const auto& [name, file] : json.at("files").items()) {
    if (!is_below(name)) throw base::CheckpointError("it names " + name + ", outside of the checkpoint");
    manifest[name] = {.bytes = file.at("bytes").get<uint64_t>(), .xxh3_128 = file.at("xxh3_128").get<std::string>()};
  }
  if (manifest.empty()) throw base::CheckpointError("it names no file");
  return manifest;
}

void check_file(const fs::path& file, const io::Written& expected) {
  if (!fs::exists(file)) throw base::CheckpointError(file.string() + ": listed in MANIFEST but missing");
  if (!fs::is_regular_file(file)) throw base::CheckpointError(file.string() + ": listed in MANIFEST but not a file");
  const auto bytes = fs::file_size(file);
  if (bytes != expected.bytes) {
    throw base::CheckpointError(
        base::concat(file.string(), ": ", bytes, " bytes, expected ", expected.bytes, " (MANIFEST)"));
  }
  if (io::hash_file(file) != expected.xxh3_128)
    throw base::CheckpointError(file.string() + ": contents differ from MANIFEST");
}

// A manifest is written with one line break at its end. Without it the file was cut off or changed,
// even if it still is valid JSON.
nlohmann::json read_whole(const fs::path& path) {
  if (!io::read_file(path).ends_with("}\n")) throw base::CheckpointError("it does not end as it was written");
  return io::read_json(path);
}

}  // namespace

Manifest read_manifest(const fs::path& checkpoint) {
  const fs::path path = checkpoint / kManifest;
  if (!fs::exists(path)) {
    throw base::CheckpointError(checkpoint.string() +
                                ": no MANIFEST; not a complete checkpoint (expected a folder "
                                "checkpoints/step_<8 digits> of a run)");
  }
  try {
    return manifest_from(read_whole(path));
  } catch (const std::exception& error) {  // not JSON, values of other types, or the errors thrown above
    throw base::CheckpointError(base::concat(path.string(), ": not the manifest of a checkpoint (", error.what(), ")"));
  }
}

void write_manifest(const fs::path& folder, const std::map<fs::path, io::Written>& written) {
  nlohmann::json files = nlohmann::json::object();
  for (const auto& [path, what] : written) {
    const std::string name = path.lexically_relative(folder).generic_string();
    if (is_below(name)) files[name] = {{"bytes", what.bytes}, {"xxh3_128", what.xxh3_128}};
  }
  io::write_json(folder / kManifest, {{"format", 1}, {"files", files}});
}

void write_part_manifest(const fs::path& folder, const io::WriteRecord& record) {
  write_manifest(folder, record.files());
}

bool part_is_complete(const fs::path& part) { return fs::exists(part / kManifest); }

void take_part(const fs::path& part, const std::string& file, const fs::path& to) {
  const auto manifest = read_manifest(part);
  const auto found = manifest.find(file);
  if (found == manifest.end()) throw base::CheckpointError(part.string() + ": its MANIFEST does not name " + file);
  fs::rename(part / file, to / file);
  io::WriteRecord::note(to / file, found->second);
}

void verify(const fs::path& checkpoint) {
  for (const auto& [name, expected] : read_manifest(checkpoint)) check_file(checkpoint / name, expected);
}

}  // namespace grpo::checkpoint
