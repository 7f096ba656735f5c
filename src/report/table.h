#pragma once

#include <string>
#include <vector>

#include "report/arms.h"

namespace grpo::report {

/// Cells; the first row is the head.
struct Table {
  std::vector<std::vector<std::string>> rows;
  std::vector<bool> is_seed;  // of each row: a single seed below its arm
};

/// Arms are ranked by time/train; an arm of several seeds has a row of means and, below it, one for each seed. Changes,
/// in parentheses, are against the first arm. brief: the columns that fit a terminal.
Table headline_table(const std::vector<Arm>& arms, bool brief);

/// Keys whose values differ, one column an arm; just the head when there are none. An arm whose seeds have several
/// values shows each; keys in which the arms agree all the same are left out.
Table config_table(const std::vector<RunSummary>& runs);

/// Aligned; markdown adds the bars of a Markdown table.
std::string plain_text(const Table& table, bool markdown);

/// The evaluation sets' accuracy metrics (eval/<set>/mean@k) of any run, in name order.
std::vector<std::string> accuracy_metrics(const std::vector<Arm>& arms);

/// eval/<set>/mean@k -> eval/<set>/pass@k
std::string pass_metric(const std::string& mean_metric);

}  // namespace grpo::report
