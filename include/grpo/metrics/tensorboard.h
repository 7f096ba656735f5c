#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "grpo/metrics/metrics_file.h"

namespace grpo::metrics {

/// Writes one TensorBoard event file (TFRecord frames of Event protocol buffers) in `folder`, flushed at every call.
class TensorBoardWriter {
 public:
  explicit TensorBoardWriter(const std::filesystem::path& folder);
  ~TensorBoardWriter();
  void add_scalars(int64_t step, double wall_time, const MetricsLine& line);
  /// Counts in thirty buckets of equal width between the smallest and the largest value; nothing without values.
  void add_histogram(int64_t step, double wall_time, const std::string& tag, const std::vector<double>& values);
  /// Shown as Markdown by the text tab.
  void add_text(int64_t step, double wall_time, const std::string& tag, const std::string& markdown);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Removes events after `last_step`, and a torn last record, from every event file in `folder`.
void cut_back_events(const std::filesystem::path& folder, int64_t last_step);

}  // namespace grpo::metrics
