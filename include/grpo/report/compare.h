#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// The comparison for a terminal: a table with one row per configuration and its seeds below it, ranked by
/// time/train, then the verdicts. The first run is the baseline that changes refer to. All functions of
/// this file need at least one run.
std::string comparison_text(const std::vector<RunSummary>& runs);

/// The comparison as Markdown, with all columns and the differences between the configurations.
std::string comparison_markdown(const std::vector<RunSummary>& runs);

/// The comparison for programs: the same numbers, the curves and the verdicts.
nlohmann::json comparison_json(const std::vector<RunSummary>& runs);

/// Writes `page` (one self-contained HTML file) and, beside it with the same stem, .md, .json and, when a run was
/// evaluated, .svg, which shows the accuracy of the first evaluation set over rollouts and over training time.
void write_report(const std::vector<RunSummary>& runs, const std::filesystem::path& page);

}  // namespace grpo::report
