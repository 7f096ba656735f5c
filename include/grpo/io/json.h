#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace grpo::io {

/// Reads one JSON document; `.gz`, `.zst` and `.xz` files are decompressed. Throws base::IoError naming the file and
/// the position.
nlohmann::json read_json(const std::filesystem::path& path);

/// Writes with base atomic replace: the file is whole or not there.
void write_json(const std::filesystem::path& path, const nlohmann::json& value, int indent = 2);

/// Reads a JSONL file line by line in constant memory, compressed ones as a whole; "-" is stdin. Blank lines are
/// skipped. Errors name file and line.
class JsonlReader {
 public:
  explicit JsonlReader(const std::string& path);
  ~JsonlReader();
  /// The next object, or false at the end. Throws base::IoError on a line that is not a JSON object.
  bool next(nlohmann::json& value);
  /// Number of the line last returned, from 1.
  int64_t line() const;
  /// The line last returned, as it is in the file.
  const std::string& text() const;
  const std::string& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes one object per line and flushes each; "-" is stdout. A failed write (full disk) throws base::IoError.
class JsonlWriter {
 public:
  enum class Mode { kTruncate, kAppend };
  explicit JsonlWriter(const std::string& path, Mode mode = Mode::kTruncate);
  ~JsonlWriter();
  /// Invalid UTF-8 in strings is written as U+FFFD, never an exception. Key order is kept for ordered_json.
  void write(const nlohmann::json& value);
  void write(const nlohmann::ordered_json& value);

 private:
  void write_line(const std::string& line);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::io
