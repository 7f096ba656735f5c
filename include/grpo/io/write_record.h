#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace grpo::io {

/// What an atomic write put into a file.
struct Written {
  uint64_t bytes = 0;
  std::string xxh3_128;  // as hash_file gives it
};

/// While a WriteRecord lives, every file that this thread replaces atomically (file.h) is noted with its size and hash.
/// These are computed from the bytes given to write(), not read back, so that they show when the disk holds something
/// else. A thread may have one WriteRecord at a time.
class WriteRecord {
 public:
  WriteRecord();
  ~WriteRecord();
  WriteRecord(const WriteRecord&) = delete;
  WriteRecord& operator=(const WriteRecord&) = delete;

  const std::map<std::filesystem::path, Written>& files() const { return files_; }
  /// Adds a file to the record of this thread, if it has one. Atomic writes call this, and so may code that learns from
  /// another process what that process wrote.
  static void note(const std::filesystem::path& path, const Written& written);

 private:
  std::map<std::filesystem::path, Written> files_;
};

}  // namespace grpo::io
