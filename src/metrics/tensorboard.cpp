// The format, as far as it is used here. A TFRecord frame (tfrecord.h) holds one Event.
// Event (tensorflow's event.proto): 1 wall_time double, 2 step int64, 3 file_version string, 5 summary { 1 value { 1
// tag, 2 simple_value, 5 histo, 8 tensor, 9 metadata } }.
// Histogram (histogram.proto): 1 min, 2 max, 3 num, 4 sum, 5 sum_squares, packed doubles 6 bucket_limit and 7 bucket.
// A text is a string tensor whose metadata names the plugin "text".
#include "grpo/metrics/tensorboard.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/output_file.h"
#include "metrics/tfrecord.h"

namespace grpo::metrics {
namespace fs = std::filesystem;
namespace {

void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}

template <typename T>
void put_fixed(std::string& out, T value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

void put_bytes(std::string& out, int field, const std::string& bytes) {
  put_varint(out, static_cast<uint64_t>(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_wall_time(std::string& out, double wall_time) {
  out += static_cast<char>(1 << 3 | 1);
  put_fixed(out, wall_time);
}

std::string version_event(double wall_time) {
  std::string event;
  put_wall_time(event, wall_time);
  put_bytes(event, 3, "brain.Event:2");
  return event;
}

std::string scalar_value(const std::string& tag, float value) {
  std::string bytes;
  put_bytes(bytes, 1, tag);
  bytes += static_cast<char>(2 << 3 | 5);
  put_fixed(bytes, value);
  return bytes;
}

void put_double(std::string& out, int field, double value) {
  out += static_cast<char>(field << 3 | 1);
  put_fixed(out, value);
}

void put_doubles(std::string& out, int field, const std::vector<double>& values) {
  std::string packed;
  for (const double value : values) put_fixed(packed, value);
  put_bytes(out, field, packed);
}

// Upper ends of equal buckets between the smallest and the largest value; a single bucket when they are equal.
std::vector<double> bucket_limits(double low, double high) {
  constexpr int kBuckets = 30;
  if (!(high > low)) return {high};
  std::vector<double> limits;
  for (int i = 1; i < kBuckets; ++i) limits.push_back(low + (high - low) * i / kBuckets);
  limits.push_back(high);
  return limits;
}

std::string histogram_value(const std::string& tag, const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const auto limits = bucket_limits(*low, *high);
  std::vector<double> counts(limits.size(), 0.0);
  double sum = 0.0;
  double squares = 0.0;
  for (const double value : values) {
    counts[static_cast<size_t>(std::lower_bound(limits.begin(), limits.end(), value) - limits.begin())] += 1.0;
    sum += value;
    squares += value * value;
  }
  std::string histogram;
  const double heads[] = {*low, *high, static_cast<double>(values.size()), sum, squares};
  for (int i = 0; i < 5; ++i) put_double(histogram, i + 1, heads[i]);
  put_doubles(histogram, 6, limits);
  put_doubles(histogram, 7, counts);
  std::string value;
  put_bytes(value, 1, tag);
  put_bytes(value, 5, histogram);
  return value;
}

std::string text_value(const std::string& tag, const std::string& text) {
  constexpr int kString = 7;  // DT_STRING
  std::string dimension;
  dimension += static_cast<char>(1 << 3 | 0);
  put_varint(dimension, 1);
  std::string shape;
  put_bytes(shape, 2, dimension);
  std::string tensor;
  tensor += static_cast<char>(1 << 3 | 0);
  put_varint(tensor, kString);
  put_bytes(tensor, 2, shape);
  put_bytes(tensor, 8, text);
  std::string plugin;
  put_bytes(plugin, 1, "text");
  std::string metadata;
  put_bytes(metadata, 1, plugin);
  std::string value;
  put_bytes(value, 1, tag);
  put_bytes(value, 8, tensor);
  put_bytes(value, 9, metadata);
  return value;
}

std::string summary_of(const std::string& value) {
  std::string summary;
  put_bytes(summary, 1, value);
  return summary;
}

std::string summary_of(const MetricsLine& line) {
  std::string summary;
  for (const auto& [name, value] : line.values()) put_bytes(summary, 1, scalar_value(name, static_cast<float>(value)));
  return summary;
}

std::string summary_event(int64_t step, double wall_time, const std::string& summary) {
  std::string event;
  put_wall_time(event, wall_time);
  event += static_cast<char>(2 << 3 | 0);
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);
  return event;
}

// The step field of an event that this file wrote; 0 for the version event, which has none.
int64_t step_of_event(const std::string& event) {
  constexpr size_t kStepAt = 1 + sizeof(double);
  if (event.size() <= kStepAt || event[kStepAt] != (2 << 3 | 0)) return 0;
  uint64_t step = 0;
  int shift = 0;
  for (size_t i = kStepAt + 1; i < event.size() && shift < 64; ++i, shift += 7) {
    step |= static_cast<uint64_t>(event[i] & 0x7F) << shift;
    if ((event[i] & 0x80) == 0) break;
  }
  return static_cast<int64_t>(step);
}

}  // namespace

struct TensorBoardWriter::State {
  std::optional<io::OutputFile> file;

  void write(const std::string& event) { file->write(frame_record(event)); }
};

TensorBoardWriter::TensorBoardWriter(const fs::path& folder) : state_(std::make_unique<State>()) {
  fs::create_directories(folder);
  const auto now = static_cast<double>(std::time(nullptr));
  fs::path path;
  for (int64_t number = 0; path.empty() || fs::exists(path); ++number) {
    path = folder / base::concat("events.out.tfevents.", static_cast<int64_t>(now), ".grpo.", ::getpid(), ".", number);
  }
  state_->file.emplace(path);
  state_->write(version_event(now));
}

TensorBoardWriter::~TensorBoardWriter() = default;

void TensorBoardWriter::add_scalars(int64_t step, double wall_time, const MetricsLine& line) {
  state_->write(summary_event(step, wall_time, summary_of(line)));
}

void TensorBoardWriter::add_histogram(int64_t step, double wall_time, const std::string& tag,
                                      const std::vector<double>& values) {
  if (!values.empty()) state_->write(summary_event(step, wall_time, summary_of(histogram_value(tag, values))));
}

void TensorBoardWriter::add_text(int64_t step, double wall_time, const std::string& tag, const std::string& markdown) {
  state_->write(summary_event(step, wall_time, summary_of(text_value(tag, markdown))));
}

void cut_back_events(const fs::path& folder, int64_t last_step) {
  if (!fs::is_directory(folder)) return;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) != 0) continue;
    std::string kept;
    for (const auto& event : read_records(io::read_file(entry.path()))) {
      if (step_of_event(event) <= last_step) kept += frame_record(event);
    }
    io::write_file_atomic(entry.path(), kept);
  }
}

}  // namespace grpo::metrics
