#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "grpo/metrics/metrics_file.h"

namespace grpo::metrics {

/// Writes one TensorBoard event file (TFRecord frames of Event protocol buffers) in `folder`. Every call hands
/// its event to the system at once.
class TensorBoardWriter {
 public:
  explicit TensorBoardWriter(const std::filesystem::path& folder);
  ~TensorBoardWriter();
  void add_scalars(int64_t step, double wall_time, const MetricsLine& line);
  /// Adds a histogram with thirty buckets of equal width between the smallest and the largest
  /// value. Does nothing without values.
  void add_histogram(int64_t step, double wall_time, const std::string& tag, const std::vector<double>& values);
  /// Adds a text, which TensorBoard's text tab shows as Markdown.
  void add_text(int64_t step, double wall_time, const std::string& tag, const std::string& markdown);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Removes the events of steps after `last_step` and a last record that was cut off, from every event file in `folder`.
void cut_back_events(const std::filesystem::path& folder, int64_t last_step);

}  // namespace grpo::metrics
