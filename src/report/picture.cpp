#include "report/picture.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "report/text.h"

namespace grpo::report {
namespace {

// They read on light and dark pages.
constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"};

struct Bounds {
  double max_step = 1.0;
  double low = 0.0;
  double high = 1.0;
};

Bounds bounds_of(const std::vector<RunSummary>& runs, const std::string& metric) {
  Bounds bounds{.max_step = 1.0, .low = INFINITY, .high = -INFINITY};
  for (const auto& run : runs) {
    const auto found = run.curves.find(metric);
    if (found == run.curves.end()) continue;
    for (const auto& [step, value] : found->second) {
      bounds.max_step = std::max(bounds.max_step, static_cast<double>(step));
      bounds.low = std::min(bounds.low, value);
      bounds.high = std::max(bounds.high, value);
    }
  }
  if (bounds.high <= bounds.low) bounds.high = bounds.low + 1.0;
  return bounds;
}

// One curve a run as an SVG element.
std::string chart(const std::vector<RunSummary>& runs, const std::string& metric) {
  constexpr double kWidth = 460.0;
  constexpr double kHeight = 180.0;
  constexpr double kLeft = 56.0;
  constexpr double kBottom = 22.0;
  const Bounds bounds = bounds_of(runs, metric);
  const auto x = [&](double step) { return kLeft + (kWidth - kLeft - 8.0) * step / bounds.max_step; };
  const auto y = [&](double value) {
    return 8.0 + (kHeight - kBottom - 8.0) * (1.0 - (value - bounds.low) / (bounds.high - bounds.low));
  };
  std::string svg = "<svg viewBox=\"0 0 460 180\" role=\"img\" font-family=\"sans-serif\" "
                    "font-size=\"11\" fill=\"#888\"><title>" + escape_html(metric) + "</title>";
  for (const double value : {bounds.low, 0.5 * (bounds.low + bounds.high), bounds.high}) {
    svg += "<line stroke=\"#8884\" x1=\"56\" x2=\"452\" y1=\"" + number(y(value), "%.1f") + "\" y2=\"" + number(y(value), "%.1f") +
           "\"/><text x=\"50\" y=\"" + number(y(value) + 4.0, "%.1f") + "\" text-anchor=\"end\">" + number(value, "%.3g") + "</text>";
  }
  svg += "<text x=\"452\" y=\"176\" text-anchor=\"end\">step " + number(bounds.max_step, "%.0f") + "</text>";
  for (size_t i = 0; i < runs.size(); ++i) {
    const auto found = runs[i].curves.find(metric);
    if (found == runs[i].curves.end()) continue;
    svg += std::string("<polyline fill=\"none\" stroke-width=\"1.6\" stroke=\"") + kColours[i % std::size(kColours)] + "\" points=\"";
    for (const auto& [step, value] : found->second) {
      svg += number(x(static_cast<double>(step)), "%.1f") + "," + number(y(value), "%.1f") + " ";
    }
    svg += "\"/>";
  }
  return svg + "</svg>";
}

}  // namespace

std::string picture(const std::vector<RunSummary>& runs, const std::string& metric) {
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 -22 460 226\" font-family=\"sans-serif\" font-size=\"12\" "
                    "fill=\"#888\"><text x=\"56\" y=\"-6\" font-weight=\"bold\">" + escape_html(without_eval(metric)) + "</text>" +
                    chart(runs, metric).insert(4, " width=\"460\" height=\"180\"");
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string x = std::to_string(56 + 200 * (i % 2));
    const std::string y = std::to_string(194 + 14 * (i / 2));
    out += "<text x=\"" + x + "\" y=\"" + y + "\" fill=\"" + kColours[i % std::size(kColours)] + "\">" + escape_html(runs[i].name) + "</text>";
  }
  return out + "</svg>\n";
}

}  // namespace grpo::report
