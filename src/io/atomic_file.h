#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "io/descriptor.h"
#include "io/hasher.h"

namespace grpo::io {

/// A new version of `path`, written piece by piece beside it. commit() puts it in place; without it nothing changes and
/// nothing is left behind.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  /// fsync, rename over the path, fsync of the folder: after it the file survives a power cut.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::optional<Descriptor> file_;
  Hasher hasher_;  // of what was meant
};

}  // namespace grpo::io
