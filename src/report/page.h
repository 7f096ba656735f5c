#pragma once

#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// Metrics that the page draws, those of evaluations first. A metric that no run has is left out.
std::vector<std::string> charted_metrics(const std::vector<RunSummary>& runs);

/// The whole page: tables as HTML, curves and rollouts as JSON that the page's script draws. It needs no network.
std::string comparison_page(const std::vector<RunSummary>& runs);

}  // namespace grpo::report
