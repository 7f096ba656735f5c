#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "io/descriptor.h"
#include "io/hasher.h"

namespace grpo::io {

/// A new version of `path`, written piece by piece to a temporary file beside it. commit() puts the new version in
/// place; an AtomicFile that is destroyed without commit() leaves `path` as it was and removes the temporary file.
/// A link is replaced itself; the file that it leads to stays as it is.
class AtomicFile {
 public:
  /// Throws base::IoError if `path` is a device, a pipe or a socket, or a link to one.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  /// Syncs the temporary file, renames it over `path` and syncs the folder, so that the
  /// new version survives a power cut.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::optional<Descriptor> file_;
  Hasher hasher_;  // of the bytes given to write(), which is what the file should hold
};

}  // namespace grpo::io
