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

/// How far a phase of a step has come.
struct PhaseProgress {
  int64_t done = 0;
  int64_t total = 0;
  int64_t tokens = 0;
};

/// What the status block shows. The numbers of the last finished step are NaN until a step has finished.
struct Status {
  std::string run;
  std::string doing;  // "step", "evaluation", ...
  int64_t step = 0;   // the step that is running
  int64_t steps = 0;
  double elapsed_s = 0.0;
  double left_s = std::numeric_limits<double>::quiet_NaN();
  PhaseProgress rollout;        // done, total: completions of whole groups; tokens: sampled in them
  PhaseProgress update;         // done, total: micro-batches of one optimizer update; tokens: trained on
  std::vector<double> rewards;  // mean reward of the finished steps, oldest first
  double accuracy = std::numeric_limits<double>::quiet_NaN();
  double live_share = std::numeric_limits<double>::quiet_NaN();
  double rollout_tokens_per_s = std::numeric_limits<double>::quiet_NaN();
  double update_tokens_per_s = std::numeric_limits<double>::quiet_NaN();
  double memory_bytes = 0.0;  // peak of this process
};

/// Seconds as "0.35 s", "14 s", "3 min 05 s", "2 h 07 min" or "3 d 04 h".
std::string duration(double seconds);

/// The lines of the status block, each at most `columns` wide. utf8: draw with block characters, otherwise with ASCII.
std::vector<std::string> render_status(const Status& status, size_t columns, bool utf8);

/// Columns that a UTF-8 text takes on a terminal, where each of the characters used here takes one.
size_t display_width(const std::string& utf8);

/// Draws the last `columns` values as bars whose heights run from the smallest to the largest of these values.
std::string sparkline(const std::vector<double>& values, size_t columns, bool utf8);

/// Shows a run on the terminal. While it lives, messages of base/log.h appear above its status block. Thread-safe.
class Console {
 public:
  explicit Console(ConsoleMode mode);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  /// Redraws the status block, at most ten times a second unless `now`. Does nothing for a console without a block.
  void show(const Status& status, bool now = false);
  /// Prints a finished step in one line, on consoles without a block.
  void step_line(const std::string& text);
  /// Prints a finished step's metrics to stdout in mode kJson, where programs read them.
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
  std::vector<size_t> widths_drawn_;  // columns of each line of the block as drawn last
  std::chrono::steady_clock::time_point drawn_;
};

}  // namespace grpo::metrics
