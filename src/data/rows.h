#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/base/error.h"

namespace grpo::data {

/// A row that cannot be read, while those behind it can.
class BadRow : public base::IoError {
 public:
  using base::IoError::IoError;
};

/// The rows of one problem file, one after another.
class RowSource {
 public:
  virtual ~RowSource() = default;
  /// The next row, always an object, or false at the end. Throws BadRow naming the place, and then goes on with the
  /// next row when it is called again; another base::IoError where the file cannot be read any further.
  virtual bool next(nlohmann::json& row) = 0;
  /// Where the row last returned is: "FILE:LINE" or "FILE: row N" (from 0).
  virtual std::string place() const = 0;
  /// The row last returned with every fractional number as the text it has in the file ("1.50", "1e-3").
  virtual nlohmann::json with_number_texts() const = 0;
};

/// Chooses the format by the file's ending. keys: what will be asked of the rows (dotted); a format with columns reads
/// only those and `id`, or all of them where none is asked for.
std::unique_ptr<RowSource> open_rows(const std::string& file, const std::vector<std::string>& keys);

/// Whether open_rows reads such a file, by its ending (behind one of a compression), and the endings for a message.
bool is_known_ending(const std::filesystem::path& file);
std::string known_endings();

/// The Parquet reader of this build (parquet_arrow.cpp or parquet_none.cpp).
std::unique_ptr<RowSource> open_parquet(const std::string& file, const std::vector<std::string>& keys);

}  // namespace grpo::data
