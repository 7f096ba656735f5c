#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace grpo::io {

/// What was written to a file.
struct Written {
  uint64_t bytes = 0;
  std::string xxh3_128;  // as hash_file gives it
};

/// While it lives, every file that this thread puts in place atomically (file.h) is noted with the size and hash of
/// what was meant, not of what a reader finds. One at a time on a thread.
class WriteRecord {
 public:
  WriteRecord();
  ~WriteRecord();
  WriteRecord(const WriteRecord&) = delete;
  WriteRecord& operator=(const WriteRecord&) = delete;

  const std::map<std::filesystem::path, Written>& files() const { return files_; }
  /// Adds to the thread's record, if there is one: what an atomic write, or another process, says that it wrote.
  static void note(const std::filesystem::path& path, const Written& written);

 private:
  std::map<std::filesystem::path, Written> files_;
};

}  // namespace grpo::io
