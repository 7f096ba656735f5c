// Event files read back field by field with a small protocol-buffer reader.
#include "grpo/metrics/tensorboard.h"

#include <gmock/gmock.h>

#include <cstring>
#include <map>
#include <optional>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "metrics/tfrecord.h"
#include "support/golden.h"

namespace grpo::metrics {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::Pair;

// Walks the fields of a protocol-buffer message.
class Message {
 public:
  explicit Message(std::string bytes) : bytes_(std::move(bytes)) {}
  bool next() {
    if (at_ == bytes_.size()) return false;
    const uint64_t tag = varint();
    field = static_cast<int>(tag >> 3);
    switch (tag & 7) {
      case 0: number = varint(); break;
      case 1: text = take(8); break;
      case 2: text = take(varint()); break;
      case 5: text = take(4); break;
      default: throw std::runtime_error("unknown wire type");
    }
    return true;
  }
  template <typename T>
  T fixed() const {
    T value{};
    if (text.size() != sizeof value) throw std::runtime_error("wrong width");
    std::memcpy(&value, text.data(), sizeof value);
    return value;
  }

  int field = 0;
  uint64_t number = 0;
  std::string text;

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(bytes_.at(at_++));
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
  }
  std::string take(size_t size) {
    if (size > bytes_.size() - at_) throw std::runtime_error("field runs over the end");
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  std::string bytes_;
  size_t at_ = 0;
};

struct Event {
  double wall_time = -1;
  int64_t step = 0;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
};

std::pair<std::string, float> parse_value(const std::string& bytes) {
  std::pair<std::string, float> value;
  for (Message message(bytes); message.next();) {
    if (message.field == 1) value.first = message.text;
    if (message.field == 2) value.second = message.fixed<float>();
  }
  return value;
}

Event parse_event(const std::string& bytes) {
  Event event;
  for (Message message(bytes); message.next();) {
    if (message.field == 1) event.wall_time = message.fixed<double>();
    if (message.field == 2) event.step = static_cast<int64_t>(message.number);
    if (message.field == 3) event.version = message.text;
    if (message.field != 5) continue;
    for (Message summary(message.text); summary.next();) {
      if (summary.field == 1) event.scalars.push_back(parse_value(summary.text));
    }
  }
  return event;
}

std::vector<Event> read_events(const fs::path& file) {
  std::vector<Event> events;
  for (const auto& record : read_records(io::read_file(file))) events.push_back(parse_event(record));
  return events;
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

MetricsLine line_of(std::vector<std::pair<std::string, double>> values) {
  MetricsLine line;
  for (const auto& [name, value] : values) line.add(name, value);
  return line;
}

std::vector<int64_t> steps_of(const fs::path& file) {
  std::vector<int64_t> steps;
  for (const Event& event : read_events(file)) steps.push_back(event.step);
  return steps;
}

TEST(EventFile, HoldsTagsValuesStepsAndTimes) {
  const testing::TempDir dir;
  TensorBoardWriter writer(dir.path() / "events");
  writer.add_scalars(1, 1700000000.25, line_of({{"loss", -0.5}, {"reward/mean", 0.1}}));
  writer.add_scalars(300, 1700000001.5, line_of({{std::string(200, 'k'), 1e9}}));
  writer.add_scalars(int64_t{1} << 40, 0.0, line_of({}));

  const auto files = files_in(dir.path() / "events");
  ASSERT_EQ(files.size(), 1U);
  EXPECT_THAT(files[0].filename().string(), ::testing::StartsWith("events.out.tfevents."));
  const auto events = read_events(files[0]);
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_TRUE(events[0].scalars.empty());
  EXPECT_EQ(events[1].step, 1);
  EXPECT_EQ(events[1].wall_time, 1700000000.25);
  EXPECT_THAT(events[1].scalars, ElementsAre(Pair("loss", -0.5F), Pair("reward/mean", 0.1F)));
  EXPECT_EQ(events[2].step, 300);
  EXPECT_THAT(events[2].scalars, ElementsAre(Pair(std::string(200, 'k'), 1e9F)));
  EXPECT_EQ(events[3].step, int64_t{1} << 40);
}

TEST(EventFile, IsOnDiskAfterEveryStep) {
  const testing::TempDir dir;
  TensorBoardWriter writer(dir.path());
  for (int64_t step = 1; step <= 3; ++step) {
    writer.add_scalars(step, 0.0, line_of({{"x", 1}}));
    EXPECT_EQ(read_events(files_in(dir.path()).at(0)).size(), static_cast<size_t>(step) + 1);
  }
}

TEST(EventFile, IsANewOneForEveryWriter) {
  const testing::TempDir dir;
  TensorBoardWriter first(dir.path());
  TensorBoardWriter second(dir.path());
  first.add_scalars(1, 0.0, line_of({{"x", 1}}));
  second.add_scalars(2, 0.0, line_of({{"x", 2}}));
  const auto files = files_in(dir.path());
  ASSERT_EQ(files.size(), 2U);
  EXPECT_THAT(steps_of(files[0]), ElementsAre(0, 1));
  EXPECT_THAT(steps_of(files[1]), ElementsAre(0, 2));
}

TEST(CutBackEvents, KeepsEarlierStepsOfEveryFileAsTheyWere) {
  const testing::TempDir dir;
  for (const int64_t start : {0, 150}) {
    TensorBoardWriter writer(dir.path());
    for (int64_t step = start; step < start + 200; step += 50) {
      writer.add_scalars(step, 2.5, line_of({{"x", static_cast<double>(step) / 3}}));
    }
  }
  std::string torn = io::read_file(files_in(dir.path()).at(0));
  io::write_file_atomic(files_in(dir.path()).at(0), torn.substr(0, torn.size() - 3));
  cut_back_events(dir.path(), 200);
  const auto files = files_in(dir.path());
  EXPECT_THAT(steps_of(files.at(0)), ElementsAre(0, 0, 50, 100));  // the version event, then steps; 150 was torn
  EXPECT_THAT(steps_of(files.at(1)), ElementsAre(0, 150, 200));
  EXPECT_EQ(read_events(files[0]).back().wall_time, 2.5);
  EXPECT_THAT(read_events(files[0]).back().scalars, ElementsAre(Pair("x", static_cast<float>(100.0 / 3))));
}

TEST(CutBackEvents, LeavesOtherFilesAndMissingFoldersAlone) {
  const testing::TempDir dir;
  io::write_file_atomic(dir.path() / "notes.txt", "keep me");
  cut_back_events(dir.path(), 0);
  EXPECT_EQ(io::read_file(dir.path() / "notes.txt"), "keep me");
  cut_back_events(dir.path() / "absent", 0);
  EXPECT_FALSE(fs::exists(dir.path() / "absent"));
}

TEST(MetricsLine, ANameGivenTwiceHasItsLastValueInTheFirstPlace) {
  EXPECT_THAT(line_of({{"a", 1}, {"b", 2}, {"a", 3}}).values(), ElementsAre(Pair("a", 3), Pair("b", 2)));
}

}  // namespace
}  // namespace grpo::metrics
