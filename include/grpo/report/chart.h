#pragma once

#include <functional>
#include <string>
#include <vector>

namespace grpo::report {

/// A point of a line, with the ends of the band around it (both y: no band).
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

/// One drawing over its own horizontal axis. Panels of a chart show the same lines in the same order, and share the
/// vertical axis.
struct ChartPanel {
  std::string title;
  std::vector<ChartLine> lines;
  std::function<std::string(double)> label = {};  // of the horizontal axis; empty: plain numbers
};

enum class ChartScale {
  kLinear,  // the horizontal axis begins at 0
  kLog,     // both axes; all values above 0
};

/// An SVG file with its panels side by side and the names of the first one's lines below. It reads on light and dark
/// pages. At least one panel. name: for those who do not see it.
std::string chart_svg(const std::string& name, const std::string& title, const std::vector<ChartPanel>& panels,
                      ChartScale scale = ChartScale::kLinear);

}  // namespace grpo::report
