#pragma once

#include <string>
#include <vector>

#include "report/arms.h"

namespace grpo::report {

/// The cells of a table; the first row is the head.
struct Table {
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> is_seed;  // one per row: whether it shows a single seed below its arm
};

/// Arms are ranked by time/train. An arm of several seeds has a row of means and, below it, one row per seed. Changes,
/// in parentheses, are against the first arm. brief: only the columns that fit into a terminal.
Table headline_table(const std::vector<Arm>& arms, bool brief);

/// The keys whose values differ, with one column per arm; only the head when there are none. If the seeds of an arm
/// have several values, the cell lists each. Keys with equal cells in all arms are left out.
Table config_table(const std::vector<RunSummary>& runs);

/// The table as text with aligned columns; markdown: with the bars of a Markdown table.
std::string plain_text(const Table& table, bool markdown);

/// The accuracy metrics (eval/<set>/mean@k) that any run has, in name order.
std::vector<std::string> accuracy_metrics(const std::vector<Arm>& arms);

/// The pass metric beside a mean metric: eval/<set>/mean@k gives eval/<set>/pass@k.
std::string pass_metric(const std::string& mean_metric);

}  // namespace grpo::report
