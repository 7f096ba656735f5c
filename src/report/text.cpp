#include "report/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace grpo::report {
namespace {

constexpr const char* kMinus = "−";

}  // namespace

std::string number(double value, const char* format) {
  if (!std::isfinite(value)) return "–";
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string signed_number(double value, const char* format) {
  if (!std::isfinite(value)) return "–";
  return (value < 0.0 ? kMinus : "+") + number(std::abs(value), format);
}

std::string relative_change(double value, double baseline) {
  if (!std::isfinite(value) || !std::isfinite(baseline) || baseline == 0.0) return "";
  return signed_number(100.0 * (value / baseline - 1.0), "%.0f") + " %";
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string without_eval(const std::string& metric) { return metric.starts_with("eval/") ? metric.substr(5) : metric; }

size_t width_of(const std::string& utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace grpo::report
