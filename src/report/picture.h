#pragma once

#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// Draws a metric that is a share, in percent over rollouts and over training time, as SVG text for report.md, where no
/// script runs. Each arm has one line, with a 95 % band if it has several seeds.
std::string picture(const std::vector<RunSummary>& runs, const std::string& metric);

}  // namespace grpo::report
