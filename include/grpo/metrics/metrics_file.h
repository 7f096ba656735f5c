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
  /// A name that is there already gets the new value (an evaluation that was interrupted and runs again).
  void add(const std::string& name, double value);
  const std::vector<std::pair<std::string, double>>& values() const { return values_; }

 private:
  std::vector<std::pair<std::string, double>> values_;
};

/// A line of metrics.jsonl without its end. Throws base::Error naming the key when a value is not finite.
std::string to_json_text(int64_t step, double time, const MetricsLine& line);

/// Appends to metrics.jsonl: one object per step, flushed each. Whole numbers are written without a fraction, others as
/// the shortest decimal that reads back to the same double.
class MetricsWriter {
 public:
  explicit MetricsWriter(const std::filesystem::path& path);
  ~MetricsWriter();
  /// time: seconds since 1970. Throws base::Error naming the key when a value is not finite.
  void write(int64_t step, double time, const MetricsLine& line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The last whole line's step; -1 when there is no file or no line.
int64_t last_step(const std::filesystem::path& path);

/// Drops the lines after `last_step`, and a last line that was cut off in the middle. A missing file is left missing.
void cut_back(const std::filesystem::path& path, int64_t last_step);

}  // namespace grpo::metrics
