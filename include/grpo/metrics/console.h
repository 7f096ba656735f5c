#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "grpo/metrics/metrics_file.h"

namespace grpo::metrics {

/// What a person sees of a run. kAuto: a live status block where stderr is a terminal, plain lines elsewhere. kQuiet:
/// warnings and errors only. kJson: the lines of metrics.jsonl on stdout, messages as JSON objects on stderr.
enum class ConsoleMode { kAuto, kPlain, kQuiet, kJson };
inline std::vector<std::string> enum_names(ConsoleMode) { return {"auto", "plain", "quiet", "json"}; }

/// How far a phase of a step is.
struct PhaseProgress {
  int64_t done = 0;
  int64_t total = 0;
  int64_t tokens = 0;
};

/// What the status block tells. Values of the last finished step are NaN before there is one.
struct Status {
  std::string run;
  std::string doing;  // "step", "evaluation", ...
  int64_t step = 0;   // the one that runs
  int64_t steps = 0;
  double elapsed_s = 0.0;
  double left_s = std::numeric_limits<double>::quiet_NaN();
  PhaseProgress rollout;        // completions of whole groups; tokens sampled in them
  PhaseProgress update;         // micro-batches of one optimizer update; tokens trained
  std::vector<double> rewards;  // mean reward of the finished steps, oldest first
  double accuracy = std::numeric_limits<double>::quiet_NaN();
  double live_share = std::numeric_limits<double>::quiet_NaN();
  double rollout_tokens_per_s = std::numeric_limits<double>::quiet_NaN();
  double update_tokens_per_s = std::numeric_limits<double>::quiet_NaN();
  double memory_bytes = 0.0;  // peak
};

/// Seconds as "0.35 s", "14 s", "3 min 05 s", "2 h 07 min" or "3 d 04 h".
std::string duration(double seconds);

/// The status block: one text a line, none wider than `columns`. utf8: block characters, else ASCII.
std::vector<std::string> render_status(const Status& status, size_t columns, bool utf8);

/// Columns that a text takes on a terminal; each of its characters takes one.
size_t display_width(const std::string& utf8);

/// The last `columns` values as bars between the smallest and the largest of them.
std::string sparkline(const std::vector<double>& values, size_t columns, bool utf8);

/// Takes over the messages of base/log.h while it lives. Thread-safe.
class Console {
 public:
  explicit Console(ConsoleMode mode);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// Redraws the status block, at most ten times a second unless `now`; nothing where there is none.
  void show(const Status& status, bool now = false);
  /// A finished step in one line, for consoles without a block.
  void step_line(const std::string& text);
  /// A finished step's metrics, for programs.
  void metrics_line(int64_t step, double time, const MetricsLine& line);

 private:
  void message(const std::string& level, const std::string& text);
  void write(const std::string& above);

  ConsoleMode mode_;
  bool live_ = false;
  bool utf8_ = false;
  std::mutex mutex_;
  Status status_;
  bool has_status_ = false;
  std::vector<size_t> widths_drawn_;  // of the block's lines, in columns
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace grpo::metrics
