#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace grpo::metrics {

/// Named numbers of one step, in the order they were first added.
class MetricsLine {
 public:
  /// Adds a value, or replaces the value of a name that is already there, as when an interrupted evaluation runs again.
  void add(const std::string& name, double value);
  const std::vector<std::pair<std::string, double>>& values() const { return values_; }

 private:
  std::vector<std::pair<std::string, double>> values_;
};

/// A line of metrics.jsonl without the line break. Throws base::Error naming the metric when a value is not finite.
std::string to_json_text(int64_t step, double time, const MetricsLine& line);

/// Appends to metrics.jsonl one object per step, each handed to the system at once. Whole numbers are written without a
/// fraction, others as the shortest decimal that reads back as the same double.
class MetricsWriter {
 public:
  explicit MetricsWriter(const std::filesystem::path& path);
  ~MetricsWriter();
  /// time: seconds since 1970. Throws base::Error naming the metric when a value is not finite.
  void write(int64_t step, double time, const MetricsLine& line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The largest step of all whole lines; -1 when there is no file or no such line.
int64_t last_step(const std::filesystem::path& path);

/// Drops the lines of steps after `last_step` and a last line that was cut off while writing. Does
/// nothing when there is no file.
void cut_back(const std::filesystem::path& path, int64_t last_step);

}  // namespace grpo::metrics
