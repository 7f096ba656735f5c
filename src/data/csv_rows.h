#pragma once

#include <memory>
#include <string>

#include "data/rows.h"

namespace grpo::data {

/// The rows of a CSV file (RFC 4180, so spaces belong to the values; .gz, .zst and .xz are decompressed). The first
/// line names the columns, none of them twice, and every value is a text. A row with another number of values than that
/// line throws BadRow, as does one that is not UTF-8.
std::unique_ptr<RowSource> open_csv(const std::string& file);

}  // namespace grpo::data
