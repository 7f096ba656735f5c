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

/// Replaces the file atomically (write_file_atomic): a reader finds the old file or the whole new one.
void write_json(const std::filesystem::path& path, const nlohmann::json& value, int indent = 2);

/// Reads a JSONL file. A plain file is read line by line in constant memory, a compressed one is decompressed as a
/// whole. The path "-" means stdin. Blank lines are skipped. Errors name the file and the line.
class JsonlReader {
 public:
  explicit JsonlReader(const std::string& path);
  ~JsonlReader();
  /// Reads the next object into `value`; returns false at the end. Throws base::IoError on a
  /// line that is not a JSON object.
  bool next(nlohmann::json& value);
  /// Number of the line that next() returned last; lines count from 1.
  int64_t line() const;
  /// The line that next() returned last, as it is in the file.
  const std::string& text() const;
  const std::string& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Writes one object per line and hands each line to the system at once; the path "-" means stdout. A failed write
/// (full disk) throws base::IoError.
class JsonlWriter {
 public:
  enum class Mode { kTruncate, kAppend };
  explicit JsonlWriter(const std::string& path, Mode mode = Mode::kTruncate);
  ~JsonlWriter();
  /// Invalid UTF-8 in strings is written as U+FFFD rather than throwing. ordered_json keeps the order of its keys.
  void write(const nlohmann::json& value);
  void write(const nlohmann::ordered_json& value);

 private:
  void write_line(const std::string& line);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::io
