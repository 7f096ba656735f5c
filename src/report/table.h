#pragma once

#include <string>
#include <vector>

#include "report/arms.h"

namespace grpo::report {

/// Cells of the headline table; the first row is the head. Arms are ranked by time/train; an arm of several seeds has
/// a row of means and, below it, one for each seed. Changes are against the first arm.
struct Table {
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> is_seed;  // of each row: a single seed below its arm
};

/// brief: the columns that fit a terminal.
Table headline_table(const std::vector<Arm>& arms, bool brief);

/// Aligned; markdown adds the bars of a Markdown table.
std::string plain_text(const Table& table, bool markdown);

/// The evaluation sets' accuracy metrics (eval/<set>/mean@k) of any run, in name order.
std::vector<std::string> accuracy_metrics(const std::vector<Arm>& arms);

}  // namespace grpo::report
