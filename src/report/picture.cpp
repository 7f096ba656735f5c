#include "report/picture.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

#include "report/arms.h"
#include "report/text.h"

namespace grpo::report {
namespace {

constexpr const char* kColours[] = {"#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf"};
constexpr double kWidth = 380.0;  // of a panel, and its height, without labels
constexpr double kHeight = 170.0;
constexpr double kLeft = 44.0;
constexpr double kTop = 48.0;

struct Point {
  Position position;
  double mean = 0.0;  // percent
  double half = 0.0;
};
using Curves = std::vector<std::vector<Point>>;  // one an arm
using Place = double Position::*;                // what the horizontal axis shows

// The band's ends; an interval of few seeds can reach beyond what a share can be.
double low_of(const Point& point) { return std::max(0.0, point.mean - point.half); }
double high_of(const Point& point) { return std::min(100.0, point.mean + point.half); }

std::vector<Point> points_of(const Arm& arm, const std::string& metric) {
  constexpr size_t kMaxPoints = 400;
  const auto curves = curves_of(arm, {metric}, kMaxPoints);
  const auto& series = curves.series.at(metric);
  std::vector<Point> points;
  for (size_t i = 0; i < series.mean.size(); ++i) {
    if (!std::isfinite(series.mean[i])) continue;
    const double half = series.half.empty() || !std::isfinite(series.half[i]) ? 0.0 : series.half[i];
    points.push_back({.position = curves.positions[i], .mean = 100.0 * series.mean[i], .half = 100.0 * half});
  }
  return points;
}

// 1, 2 or 5 times a power of ten: at most `most` of them fit into `range`.
double tick_size(double range, double most) {
  const double least = std::max(range, 1e-9) / most;
  const double ten = std::pow(10.0, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * ten >= least * (1.0 - 1e-9)) return factor * ten;
  }
  return 10.0 * ten;
}

struct Axis {
  double low = 0.0, high = 1.0, tick = 1.0;
  double share(double value) const { return (value - low) / (high - low); }
};

Axis axis_over(double low, double high, double most_ticks) {
  const double tick = tick_size(high - low, most_ticks);
  Axis axis{.low = tick * std::floor(low / tick + 1e-9), .high = tick * std::ceil(high / tick - 1e-9), .tick = tick};
  if (axis.high <= axis.low) axis.high = axis.low + tick;
  return axis;
}

Axis axis_of(const Curves& curves, const std::function<std::pair<double, double>(const Point&)>& range,
             double most_ticks) {
  double low = INFINITY, high = -INFINITY;
  for (const auto& points : curves) {
    for (const auto& point : points) {
      const auto [from, to] = range(point);
      low = std::min(low, from);
      high = std::max(high, to);
    }
  }
  if (low > high) return {};
  if (high == low) high = low + 1.0;
  return axis_over(low, high, most_ticks);
}

std::string rollouts_text(double value) {
  return value >= 1e6   ? number(value / 1e6, "%.3g") + "M"
         : value >= 1e4 ? number(value / 1e3, "%.3g") + "k"
                        : number(value, "%.4g");
}

std::string text_at(double x, double y, const std::string& attributes, const std::string& text) {
  return "<text x=\"" + number(x, "%.1f") + "\" y=\"" + number(y, "%.1f") + "\" " + attributes + ">" +
         escape_html(text) + "</text>";
}

std::string rule(double x1, double y1, double x2, double y2) {
  return "<line stroke=\"#8884\" x1=\"" + number(x1, "%.1f") + "\" y1=\"" + number(y1, "%.1f") + "\" x2=\"" +
         number(x2, "%.1f") + "\" y2=\"" + number(y2, "%.1f") + "\"/>";
}

/// One chart of the picture, its left edge at x0.
class Panel {
 public:
  Panel(const Curves& curves, Place place, const Axis& y, double x0)
      : curves_(curves),
        place_(place),
        y_(y),
        x0_(x0),
        x_(axis_of(
            curves, [place](const Point& point) { return std::pair(0.0, point.position.*place); }, 5.0)) {}

  std::string svg(const std::string& title, const std::function<std::string(double)>& label) const {
    std::string out = text_at(x0_, kTop - 10.0, "", title);
    for (double value = y_.low; value <= y_.high * (1.0 + 1e-9); value += y_.tick) {
      out += rule(x0_, y(value), x0_ + kWidth, y(value)) +
             text_at(x0_ - 6.0, y(value) + 4.0, "text-anchor=\"end\"", number(value, "%.3g"));
    }
    for (double value = x_.low; value <= x_.high * (1.0 + 1e-9); value += x_.tick) {
      out += text_at(x(value), kTop + kHeight + 16.0, "text-anchor=\"middle\"", label(value));
    }
    for (size_t i = 0; i < curves_.size(); ++i) out += curve(curves_[i], kColours[i % std::size(kColours)]);
    return out;
  }

 private:
  double x(double value) const { return x0_ + kWidth * x_.share(value); }
  double y(double value) const { return kTop + kHeight * (1.0 - y_.share(value)); }

  std::string at(const Point& point, double value) const {
    return number(x(point.position.*place_), "%.1f") + "," + number(y(value), "%.1f") + " ";
  }

  std::string curve(const std::vector<Point>& points, const std::string& colour) const {
    std::string line, upper, lower;
    for (const auto& point : points) {
      line += at(point, point.mean);
      upper += at(point, high_of(point));
      lower.insert(0, at(point, low_of(point)));
    }
    return "<polygon fill=\"" + colour + "\" fill-opacity=\"0.18\" points=\"" + upper + lower +
           "\"/><polyline fill=\"none\" stroke-width=\"1.8\" stroke=\"" + colour + "\" points=\"" + line + "\"/>";
  }

  const Curves& curves_;
  Place place_;
  Axis y_;
  double x0_;
  Axis x_;
};

std::string legend(const std::vector<Arm>& arms, double top) {
  std::string out;
  for (size_t i = 0; i < arms.size(); ++i) {
    const std::string seeds =
        arms[i].runs.size() > 1 ? " (mean of " + std::to_string(arms[i].runs.size()) + " seeds, 95 % band)" : "";
    const auto column = static_cast<double>(i % 2), row = static_cast<double>(i / 2);
    out += text_at(kLeft + column * (kWidth + kLeft + 16.0), top + 16.0 * row,
                   std::string("fill=\"") + kColours[i % std::size(kColours)] + "\"", "— " + arms[i].name + seeds);
  }
  return out;
}

}  // namespace

std::string picture(const std::vector<RunSummary>& runs, const std::string& metric) {
  const auto arms = arms_of(runs);
  Curves curves;
  for (const auto& arm : arms) curves.push_back(points_of(arm, metric));
  const Axis y = axis_of(
      curves, [](const Point& point) { return std::pair(low_of(point), high_of(point)); }, 6.0);
  const double second = 2.0 * kLeft + kWidth + 16.0;
  const double legend_top = kTop + kHeight + 40.0;
  const std::string width = number(second + kWidth + 24.0, "%.0f");
  const std::string height = number(legend_top + 16.0 * static_cast<double>((arms.size() + 1) / 2), "%.0f");
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + width + " " + height + "\" width=\"" + width +
         "\" height=\"" + height + "\" role=\"img\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#888\"><title>" +
         escape_html(metric) + "</title>" +
         text_at(kLeft, 14.0, "font-weight=\"bold\"", without_eval(metric) + " in %") +
         Panel(curves, &Position::rollouts, y, kLeft).svg("over rollouts", rollouts_text) +
         Panel(curves, &Position::train_s, y, second).svg("over training time in seconds", rollouts_text) +
         legend(arms, legend_top) + "</svg>\n";
}

}  // namespace grpo::report
