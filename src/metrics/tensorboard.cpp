// TFRecord frame: u64 length, u32 masked CRC-32C of it, the bytes, u32 masked CRC-32C of them. Event (tensorflow's
// event.proto): 1 wall_time double, 2 step int64, 3 file_version string, 5 summary { 1 value { 1 tag, 2 simple_value } }.
#include "grpo/metrics/tensorboard.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
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

std::string scalars_event(int64_t step, double wall_time, const MetricsLine& line) {
  std::string summary;
  for (const auto& [name, value] : line.values()) put_bytes(summary, 1, scalar_value(name, static_cast<float>(value)));
  std::string event;
  put_wall_time(event, wall_time);
  event += static_cast<char>(2 << 3 | 0);
  put_varint(event, static_cast<uint64_t>(step));
  put_bytes(event, 5, summary);
  return event;
}

// The step field of an event written here; 0 for the version event.
int64_t step_of(const std::string& event) {
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
  fs::path path;
  std::ofstream file;

  void write(const std::string& event) {
    errno = 0;
    file << frame_record(event) << std::flush;
    if (!file) throw base::IoError(path.string() + ": cannot write: " + std::strerror(errno));
  }
};

TensorBoardWriter::TensorBoardWriter(const fs::path& folder) : state_(std::make_unique<State>()) {
  fs::create_directories(folder);
  const auto now = static_cast<double>(std::time(nullptr));
  for (int64_t number = 0;; ++number) {
    state_->path = folder / base::concat("events.out.tfevents.", static_cast<int64_t>(now), ".grpo.", ::getpid(), ".", number);
    if (!fs::exists(state_->path)) break;
  }
  state_->file.open(state_->path, std::ios::binary);
  state_->write(version_event(now));
}

TensorBoardWriter::~TensorBoardWriter() = default;

void TensorBoardWriter::add_scalars(int64_t step, double wall_time, const MetricsLine& line) {
  state_->write(scalars_event(step, wall_time, line));
}

void cut_back_events(const fs::path& folder, int64_t last_step) {
  if (!fs::is_directory(folder)) return;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().rfind("events.out.tfevents.", 0) != 0) continue;
    std::string kept;
    for (const auto& event : read_records(io::read_file(entry.path()))) {
      if (step_of(event) <= last_step) kept += frame_record(event);
    }
    io::write_file_atomic(entry.path(), kept);
  }
}

}  // namespace grpo::metrics
