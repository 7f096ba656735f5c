#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "grpo/io/write_record.h"

namespace grpo::checkpoint {

inline constexpr const char* kManifest = "MANIFEST";

/// What a checkpoint should hold: size and hash of every file, by its path relative to the checkpoint's folder.
using Manifest = std::map<std::string, io::Written>;

/// Reads a checkpoint's MANIFEST. Throws base::CheckpointError when there is none or it is not one of ours.
Manifest read_manifest(const std::filesystem::path& checkpoint);

/// Writes the MANIFEST of `folder`, with those files of `written` that are below it.
void write_manifest(const std::filesystem::path& folder, const std::map<std::filesystem::path, io::Written>& written);

}  // namespace grpo::checkpoint
