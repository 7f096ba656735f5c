#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/base/error.h"

namespace grpo::data {

/// A row that cannot be used, while the rows after it can.
class BadRow : public base::IoError {
 public:
  using base::IoError::IoError;
};

/// The rows of one problem file, one after another.
class RowSource {
 public:
  virtual ~RowSource() = default;
  /// Reads the next row, always an object; returns false at the end. Throws BadRow naming the place, after which the
  /// next call goes on with the next row. Throws another base::IoError if the file cannot be read any further.
  virtual bool next(nlohmann::json& row) = 0;
  /// Where the last row is: "FILE:LINE" or "FILE: row N" (from 0).
  virtual std::string place() const = 0;
  /// The last row with every fractional number as the text that it has in the file ("1.50", "1e-3").
  virtual nlohmann::json with_number_texts() const = 0;
};

/// Opens a file in the format that its ending tells. keys: the (dotted) keys that will be read. A format with columns
/// reads only their columns and `id`, or all columns if no keys are given.
std::unique_ptr<RowSource> open_rows(const std::string& file, const std::vector<std::string>& keys);

/// Throws base::IoError if two columns of a file have the same name, since a key would then mean either. Columns
/// without a name, as spreadsheets leave behind, may be several: no key means them.
void refuse_repeated_columns(const std::vector<std::string>& names, const std::string& file);

/// Throws BadRow naming the column if a text of the row is not UTF-8. JSON's parser refuses such texts itself; in other
/// formats any bytes may stand, and a tokenizer would make U+FFFD of them.
void require_utf8(const nlohmann::json& row, const std::string& place);

/// is_known_ending: whether open_rows reads files with this ending (before one of a compression). known_endings:
/// all such endings, for a message.
bool is_known_ending(const std::filesystem::path& file);
std::string known_endings();

/// The Parquet reader of this build (parquet_arrow.cpp or parquet_none.cpp).
std::unique_ptr<RowSource> open_parquet(const std::string& file, const std::vector<std::string>& keys);

}  // namespace grpo::data
