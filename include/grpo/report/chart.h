#pragma once

#include <functional>
#include <string>
#include <vector>

namespace grpo::report {

/// A point of a line and the band around it, from `low` to `high`; without a band both equal y.
struct ChartPoint {
  double x = 0.0;
  double y = 0.0;
  double low = 0.0;
  double high = 0.0;
};

struct ChartLine {
  std::string name;  // in the legend
  std::vector<ChartPoint> points;
};

/// One drawing with its own horizontal axis. All panels of a chart show the same lines in the same
/// order and share the vertical axis.
struct ChartPanel {
  std::string title;
  std::vector<ChartLine> lines;
  std::function<std::string(double)> label = {};  // writes a value of the horizontal axis; plain numbers if empty
};

enum class ChartScale {
  kLinear,  // the horizontal axis begins at 0
  kLog,     // both axes are logarithmic; all values must be above 0
};

/// An SVG text with the panels side by side and, below them, a legend with the names of the first panel's
/// lines. The colours can be read on light and dark pages. `name` describes the image to readers who cannot see
/// it. REQUIRES: at least one panel.
std::string chart_svg(const std::string& name, const std::string& title, const std::vector<ChartPanel>& panels,
                      ChartScale scale = ChartScale::kLinear);

}  // namespace grpo::report
