#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/report/run_summary.h"

namespace grpo::report {

/// One row a run, one column a figure, ranked by time/train; the first run named is the baseline of the differences.
/// Plain text, aligned; `markdown` adds the bars of a Markdown table.
std::string comparison_table(const std::vector<RunSummary>& runs, bool markdown);

/// The same figures and the curves, for programs.
nlohmann::json comparison_json(const std::vector<RunSummary>& runs);

/// One self-contained page: the table and the curves as inline SVG; needs no network.
std::string comparison_page(const std::vector<RunSummary>& runs);

/// Writes `page` and, beside it with the same stem, .md, .json and, when a run was evaluated, .svg: the curves of the
/// first evaluation set as one picture.
void write_report(const std::vector<RunSummary>& runs, const std::filesystem::path& page);

}  // namespace grpo::report
