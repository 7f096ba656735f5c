#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// For the terminal: one row a configuration, its seeds below it, ranked by time/train; then the verdict. The first run
/// named is the baseline of the changes. Here and below: at least one run.
std::string comparison_text(const std::vector<RunSummary>& runs);

/// The same with all columns and the configuration differences.
std::string comparison_markdown(const std::vector<RunSummary>& runs);

/// The same figures, the curves and the verdicts, for programs.
nlohmann::json comparison_json(const std::vector<RunSummary>& runs);

/// Writes `page` (one self-contained HTML file) and, beside it with the same stem, .md, .json and, when a run was
/// evaluated, .svg: the accuracy of the first evaluation set over rollouts and over training time.
void write_report(const std::vector<RunSummary>& runs, const std::filesystem::path& page);

}  // namespace grpo::report
