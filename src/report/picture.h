#pragma once

#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// The curves of a metric over steps as an SVG file for report.md, where no script runs.
std::string picture(const std::vector<RunSummary>& runs, const std::string& metric);

}  // namespace grpo::report
