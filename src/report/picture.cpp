#include "report/picture.h"

#include <algorithm>
#include <cmath>

#include "grpo/report/chart.h"
#include "report/arms.h"
#include "report/text.h"

namespace grpo::report {
namespace {

using Place = double Position::*;  // what the horizontal axis shows

// One line in percent. The band of few seeds can be wider than a share can vary, so it is cut at 0 and 100.
ChartLine line_of(const Arm& arm, const std::string& metric, Place place) {
  constexpr size_t kMaxPoints = 400;
  auto curves = curves_of(arm, {metric}, kMaxPoints);
  const auto& series = curves.series[metric];  // empty where no step is finished yet
  const std::string seeds =
      arm.runs.size() > 1 ? " (mean of " + std::to_string(arm.runs.size()) + " seeds, 95 % band)" : "";
  ChartLine line{.name = arm.name + seeds, .points = {}};
  for (size_t i = 0; i < series.mean.size(); ++i) {
    if (!std::isfinite(series.mean[i])) continue;
    const double mean = 100.0 * series.mean[i];
    const double half =
        series.half_width.empty() || !std::isfinite(series.half_width[i]) ? 0.0 : 100.0 * series.half_width[i];
    line.points.push_back({.x = curves.positions[i].*place,
                           .y = mean,
                           .low = std::max(0.0, mean - half),
                           .high = std::min(100.0, mean + half)});
  }
  return line;
}

std::string rollouts_text(double value) {
  return value >= 1e6   ? number(value / 1e6, "%.3g") + "M"
         : value >= 1e4 ? number(value / 1e3, "%.3g") + "k"
                        : number(value, "%.4g");
}

}  // namespace

std::string picture(const std::vector<RunSummary>& runs, const std::string& metric) {
  std::vector<ChartPanel> panels = {{.title = "over rollouts", .lines = {}, .label = rollouts_text},
                                    {.title = "over training time in seconds", .lines = {}, .label = rollouts_text}};
  for (const auto& arm : arms_of(runs)) {
    panels[0].lines.push_back(line_of(arm, metric, &Position::rollouts));
    panels[1].lines.push_back(line_of(arm, metric, &Position::train_s));
  }
  return chart_svg(metric, without_eval(metric) + " in %", panels);
}

}  // namespace grpo::report
