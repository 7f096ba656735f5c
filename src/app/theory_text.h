#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "grpo/report/chart.h"

namespace grpo::app {

// The text that `grpo theory` and `grpo replay` print.

using Rows = std::vector<std::vector<std::string>>;

/// A table whose columns are as wide as their longest cell; cells are aligned to the right.
std::string aligned(const Rows& rows);

/// A value by printf's `format`; "-" if it is null.
std::string number(const nlohmann::ordered_json& value, const char* format);

/// Two numbers as "+0.750 -0.250".
std::string pair_text(const nlohmann::ordered_json& pair);

/// Writes FOLDER/NAME.svg.
void write_plot(const std::string& folder, const std::string& name, const std::string& title,
                const std::vector<report::ChartPanel>& panels, report::ChartScale scale = report::ChartScale::kLinear);

}  // namespace grpo::app
