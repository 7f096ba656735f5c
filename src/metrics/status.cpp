#include <algorithm>
#include <cmath>
#include <cstdio>

#include "grpo/base/error.h"
#include "grpo/metrics/console.h"

namespace grpo::metrics {
namespace {

const std::vector<std::string> kBlocks = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
const std::vector<std::string> kAscii = {"_", ".", "-", "~", "=", "+", "*", "#"};

std::string fixed(double value, const char* format) {
  if (!std::isfinite(value)) return "-";
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Shortens large numbers: 40916 becomes 40.9k.
std::string compact(double value) {
  if (!(value >= 1e4)) return fixed(value, "%.0f");
  return value < 1e6 ? fixed(value / 1e3, "%.1fk") : fixed(value / 1e6, "%.1fM");
}

std::string bar(const PhaseProgress& progress, size_t columns, bool utf8) {
  const double share =
      progress.total > 0 ? static_cast<double>(progress.done) / static_cast<double>(progress.total) : 0.0;
  const auto full = static_cast<size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(columns));
  std::string text;
  for (size_t i = 0; i < columns; ++i) text += i < full ? (utf8 ? "█" : "#") : (utf8 ? "░" : ".");
  return text;
}

std::string phase_line(const char* name, const PhaseProgress& progress, const char* unit, const char* tokens,
                       size_t columns, bool utf8) {
  return name + bar(progress, columns < 70 ? 12 : 24, utf8) + "  " + std::to_string(progress.done) + "/" +
         std::to_string(progress.total) + " " + unit + "  " + compact(static_cast<double>(progress.tokens)) + " " +
         tokens;
}

std::string head_line(const Status& status) {
  std::string line = status.run + "  step " + std::to_string(status.step) + "/" + std::to_string(status.steps);
  if (!status.doing.empty()) line += "  " + status.doing;
  line += "  " + duration(status.elapsed_s) + " elapsed";
  return std::isfinite(status.left_s) ? line + ", " + duration(status.left_s) + " left" : line;
}

// Cuts a UTF-8 text at `columns` characters, never inside a character.
std::string cut(const std::string& text, size_t columns) {
  size_t at = 0;
  size_t width = 0;
  for (; at < text.size(); ++at) {
    const bool starts = (text[at] & 0xC0) != 0x80;
    if (starts && width == columns) break;
    width += starts ? 1 : 0;
  }
  return text.substr(0, at);
}

}  // namespace

size_t display_width(const std::string& utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string duration(double seconds) {
  const auto whole = static_cast<long long>(seconds + 0.5);
  char text[64];
  if (seconds < 9.95) {
    std::snprintf(text, sizeof text, "%.2g s", seconds);
  } else if (whole >= 172800) {
    std::snprintf(text, sizeof text, "%lld d %02lld h", whole / 86400, whole / 3600 % 24);
  } else if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
  } else if (whole >= 60) {
    std::snprintf(text, sizeof text, "%lld min %02lld s", whole / 60, whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld s", whole);
  }
  return text;
}

std::string sparkline(const std::vector<double>& values, size_t columns, bool utf8) {
  const auto& bars = utf8 ? kBlocks : kAscii;
  const std::vector<double> last(values.end() - static_cast<long>(std::min(columns, values.size())), values.end());
  if (last.empty()) return "";
  const auto [low, high] = std::minmax_element(last.begin(), last.end());
  std::string text;
  for (const double value : last) {
    const double height = *high > *low ? (value - *low) / (*high - *low) : 0.0;
    text += bars[static_cast<size_t>(std::lround(height * static_cast<double>(bars.size() - 1)))];
  }
  return text;
}

std::vector<std::string> render_status(const Status& status, size_t columns, bool utf8) {
  const double reward = status.rewards.empty() ? std::nan("") : status.rewards.back();
  std::vector<std::string> lines = {
      head_line(status), phase_line("rollout  ", status.rollout, "completions", "tokens", columns, utf8),
      phase_line("update   ", status.update, "micro-batches", "tokens", columns, utf8),
      "reward   " + fixed(reward, "%.3f") + "  accuracy " + fixed(status.accuracy, "%.3f") + "  live groups " +
          fixed(100.0 * status.live_share, "%.0f %%") + "  " + sparkline(status.rewards, columns < 70 ? 12 : 24, utf8),
      "speed    " + compact(status.rollout_tokens_per_s) + " tokens/s sampled, " + compact(status.update_tokens_per_s) +
          " trained  memory " + fixed(status.memory_bytes / 1e9, "%.2f GB")};
  for (auto& line : lines) line = cut(line, columns);
  return lines;
}

}  // namespace grpo::metrics
