#include "grpo/metrics/metrics_file.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/io/parse_json.h"

namespace grpo::metrics {
namespace fs = std::filesystem;
namespace {

constexpr double kLargestWhole = 9007199254740992.0;  // 2^53: up to here every whole double is exact

nlohmann::ordered_json number(double value) {
  if (value == std::floor(value) && std::abs(value) < kLargestWhole) return static_cast<int64_t>(value);
  return value;
}

// The step of a line; -1 when the line is not a whole JSON object with an integer step.
int64_t step_of(const std::string& line) {
  try {
    const auto parsed = io::parse_json(line, "");
    const auto step = parsed.is_object() ? parsed.value("step", nlohmann::json()) : nlohmann::json();
    return step.is_number_integer() ? step.get<int64_t>() : -1;
  } catch (const base::IoError&) {
    return -1;
  }
}

}  // namespace

void MetricsLine::add(const std::string& name, double value) {
  const auto same = [&](const auto& entry) { return entry.first == name; };
  const auto found = std::find_if(values_.begin(), values_.end(), same);
  if (found == values_.end()) {
    values_.emplace_back(name, value);
  } else {
    found->second = value;
  }
}

struct MetricsWriter::State {
  io::JsonlWriter writer;
};

MetricsWriter::MetricsWriter(const fs::path& path)
    : state_(new State{io::JsonlWriter(path.string(), io::JsonlWriter::Mode::kAppend)}) {}

MetricsWriter::~MetricsWriter() = default;

namespace {

nlohmann::ordered_json to_json(int64_t step, double time, const MetricsLine& line) {
  nlohmann::ordered_json object = {{"step", step}, {"time", time}};
  for (const auto& [name, value] : line.values()) {
    if (!std::isfinite(value)) throw base::Error(base::concat("metrics: ", name, " is ", value, " at step ", step));
    object[name] = number(value);
  }
  return object;
}

}  // namespace

// As MetricsWriter does, it writes U+FFFD for what is no UTF-8: an evaluation set may have the name of any file.
std::string to_json_text(int64_t step, double time, const MetricsLine& line) {
  return to_json(step, time, line).dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void MetricsWriter::write(int64_t step, double time, const MetricsLine& line) {
  state_->writer.write(to_json(step, time, line));
}

int64_t last_step(const fs::path& path) {
  if (!fs::exists(path)) return -1;
  std::istringstream lines(io::read_file(path));
  int64_t last = -1;
  for (std::string line; std::getline(lines, line);) last = std::max(last, step_of(line));
  return last;
}

void cut_back(const fs::path& path, int64_t last_step) {
  if (!fs::exists(path)) return;
  std::istringstream lines(io::read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const int64_t step = step_of(line);
    if (step >= 0 && step <= last_step) kept += line + "\n";
  }
  io::write_file_atomic(path, kept);
}

}  // namespace grpo::metrics
