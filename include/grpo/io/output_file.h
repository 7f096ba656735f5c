#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace grpo::io {

/// A file that grows by whole pieces. There is no buffer of our own: when write() returns, the bytes are with the
/// system, so they are not lost if the process crashes.
class OutputFile {
 public:
  enum class Mode { kTruncate, kAppend };
  explicit OutputFile(const std::filesystem::path& path, Mode mode = Mode::kTruncate);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Throws base::IoError with the reason.
  void write(std::string_view bytes);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Bytes that this process may still write in the file system of `folder`, or of its nearest parent that exists.
uint64_t free_bytes(const std::filesystem::path& folder);

/// Whether this is the name of a temporary file that an interrupted write_file_atomic (file.h) left
/// behind: NAME.tmp-<process>-<number>.
bool is_unfinished_name(const std::string& name);

}  // namespace grpo::io
