#pragma once

#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// Metrics that the page draws, evaluation first; only those that some run has.
std::vector<std::string> charted_metrics(const std::vector<RunSummary>& runs);

/// The whole page: tables as HTML, curves and rollouts as JSON that its script draws; needs no network.
std::string comparison_page(const std::vector<RunSummary>& runs);

}  // namespace grpo::report
