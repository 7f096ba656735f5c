#include "grpo/report/chart.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "report/text.h"

namespace grpo::report {
namespace {

constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"};
constexpr double kWidth = 380.0;  // width and height of a panel without its labels
constexpr double kHeight = 170.0;
constexpr double kLeft = 44.0;
constexpr double kTop = 48.0;
constexpr double kBetween = kWidth + kLeft + 16.0;  // from the left edge of one panel to that of the next

// The distance between ticks: 1, 2 or 5 times a power of ten, so that at most `most` of them fit into `range`.
double tick_size(double range, double most) {
  const double least = std::max(range, 1e-9) / most;
  const double ten = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * ten >= least * (1.0 - 1e-9)) return factor * ten;
  }
  return 10.0 * ten;
}

// An axis: the values at its ends and the values that are written at it.
struct Axis {
  double low = 0.0, high = 1.0;
  bool logarithmic = false;
  std::vector<double> ticks = {};

  double share(double value) const {
    if (logarithmic) return std::log(value / low) / std::log(high / low);
    return (value - low) / (high - low);
  }
};

Axis linear_axis(double low, double high, double most_ticks) {
  const double tick = tick_size(high - low, most_ticks);
  Axis axis{.low = tick * std::floor(low / tick + 1e-9), .high = tick * std::ceil(high / tick - 1e-9)};
  if (axis.high <= axis.low) axis.high = axis.low + tick;
  for (double value = axis.low; value <= axis.high * (1.0 + 1e-9); value += tick) axis.ticks.push_back(value);
  return axis;
}

// An axis from one power of ten to another or, for short ranges, from one power of two to another.
Axis log_axis(double low, double high, double most_ticks) {
  const double base = std::log10(high / low) > 0.4 * most_ticks ? 10.0 : 2.0;
  const auto power = [base](double value) { return std::log(value) / std::log(base); };
  const double first = std::floor(power(low) + 1e-9), last = std::max(std::ceil(power(high) - 1e-9), first + 1.0);
  Axis axis{.low = std::pow(base, first), .high = std::pow(base, last), .logarithmic = true};
  const double step = std::max(1.0, std::ceil((last - first) / most_ticks));
  for (double exponent = first; exponent <= last + 1e-9; exponent += step)
    axis.ticks.push_back(std::pow(base, exponent));
  return axis;
}

using Range = std::function<std::pair<double, double>(const ChartPoint&)>;

Axis axis_of(const std::vector<ChartPanel>& panels, ChartScale scale, double most_ticks, const Range& range) {
  double low = INFINITY, high = -INFINITY;
  for (const auto& panel : panels) {
    for (const auto& line : panel.lines) {
      for (const auto& point : line.points) {
        const auto [from, to] = range(point);
        low = std::min(low, from);
        high = std::max(high, to);
      }
    }
  }
  if (low > high) return {.ticks = {0.0, 1.0}};
  if (scale == ChartScale::kLog) return log_axis(low, high, most_ticks);
  if (high == low) high = low + 1.0;
  return linear_axis(low, high, most_ticks);
}

std::string text_at(double x, double y, const std::string& attributes, const std::string& text) {
  return "<text x=\"" + number(x, "%.1f") + "\" y=\"" + number(y, "%.1f") + "\" " + attributes + ">" +
         escape_html(text) + "</text>";
}

std::string rule(double x1, double y1, double x2, double y2) {
  return "<line stroke=\"#8884\" x1=\"" + number(x1, "%.1f") + "\" y1=\"" + number(y1, "%.1f") + "\" x2=\"" +
         number(x2, "%.1f") + "\" y2=\"" + number(y2, "%.1f") + "\"/>";
}

/// Draws one panel; x0 is its left edge.
class Drawing {
 public:
  Drawing(const ChartPanel& panel, const Axis& x, const Axis& y, double x0) : panel_(panel), x_(x), y_(y), x0_(x0) {}

  std::string svg() const {
    std::string out = text_at(x0_, kTop - 10.0, "", panel_.title);
    for (const double value : y_.ticks) {
      out += rule(x0_, y(value), x0_ + kWidth, y(value)) +
             text_at(x0_ - 6.0, y(value) + 4.0, "text-anchor=\"end\"", number(value, "%.3g"));
    }
    for (const double value : x_.ticks)
      out += text_at(x(value), kTop + kHeight + 16.0, "text-anchor=\"middle\"", label(value));
    for (size_t i = 0; i < panel_.lines.size(); ++i)
      out += curve(panel_.lines[i].points, kColours[i % std::size(kColours)]);
    return out;
  }

 private:
  double x(double value) const { return x0_ + kWidth * x_.share(value); }
  double y(double value) const { return kTop + kHeight * (1.0 - y_.share(value)); }
  std::string label(double value) const { return panel_.label ? panel_.label(value) : number(value, "%.4g"); }

  std::string at(double x_value, double y_value) const {
    return number(x(x_value), "%.1f") + "," + number(y(y_value), "%.1f") + " ";
  }

  std::string curve(const std::vector<ChartPoint>& points, const std::string& colour) const {
    std::string line, upper, lower;
    for (const auto& point : points) {
      line += at(point.x, point.y);
      upper += at(point.x, point.high);
      lower.insert(0, at(point.x, point.low));
    }
    return "<polygon fill=\"" + colour + "\" fill-opacity=\"0.18\" points=\"" + upper + lower +
           "\"/><polyline fill=\"none\" stroke-width=\"1.8\" stroke=\"" + colour + "\" points=\"" + line + "\"/>";
  }

  const ChartPanel& panel_;
  const Axis& x_;
  const Axis& y_;
  double x0_;
};

std::string legend(const std::vector<ChartLine>& lines, double top) {
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto column = static_cast<double>(i % 2), row = static_cast<double>(i / 2);
    out += text_at(kLeft + column * kBetween, top + 16.0 * row,
                   std::string("fill=\"") + kColours[i % std::size(kColours)] + "\"", "— " + lines[i].name);
  }
  return out;
}

}  // namespace

std::string chart_svg(const std::string& name, const std::string& title, const std::vector<ChartPanel>& panels,
                      ChartScale scale) {
  const double legend_top = kTop + kHeight + 40.0;
  const auto& lines = panels.front().lines;
  const auto columns = static_cast<double>(std::max<size_t>(panels.size(), 2));  // the legend has two columns
  const std::string width = number(kLeft + columns * kBetween - kLeft - 16.0 + 24.0, "%.0f");
  const std::string height = number(legend_top + 16.0 * static_cast<double>((lines.size() + 1) / 2), "%.0f");
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + width + " " + height + "\" width=\"" +
                    width + "\" height=\"" + height +
                    "\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#888\"><title>" +
                    escape_html(name) + "</title>" + text_at(kLeft, 14.0, "font-weight=\"bold\"", title);
  const Axis y = axis_of(panels, scale, 6.0, [](const ChartPoint& point) { return std::pair(point.low, point.high); });
  double left = kLeft;
  for (const auto& panel : panels) {
    const Axis x = axis_of({panel}, scale, 5.0, [scale](const ChartPoint& point) {
      return std::pair(scale == ChartScale::kLog ? point.x : 0.0, point.x);
    });
    out += Drawing(panel, x, y, left).svg();
    left += kBetween;
  }
  return out + legend(lines, legend_top) + "</svg>\n";
}

}  // namespace grpo::report
