#pragma once

#include <memory>
#include <string>

#include "data/rows.h"

namespace grpo::data {

/// The rows of a CSV file (RFC 4180; .gz, .zst and .xz are decompressed): its first line names the columns, and every
/// value is a text. Throws base::IoError naming the row that has another number of values.
std::unique_ptr<RowSource> open_csv(const std::string& file);

}  // namespace grpo::data
