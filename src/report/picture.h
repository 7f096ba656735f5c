#pragma once

#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// A metric that is a share, in percent over rollouts and over training time, as an SVG file for report.md, where no
/// script runs: one line an arm, with a band (95 %) where it has several seeds. It reads on light and dark pages.
std::string picture(const std::vector<RunSummary>& runs, const std::string& metric);

}  // namespace grpo::report
