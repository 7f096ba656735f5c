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
      case 0:
        number = varint();
        break;
      case 1:
        text = take(8);
        break;
      case 2:
        text = take(varint());
        break;
      case 5:
        text = take(4);
        break;
      default:
        throw std::runtime_error("unknown wire type");
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

struct Histogram {
  std::string tag;
  std::map<int, double> heads;  // by field: 1 min, 2 max, 3 num, 4 sum, 5 sum of squares
  std::vector<double> limits;
  std::vector<double> counts;
};

struct Text {
  std::string tag;
  std::string plugin;
  uint64_t dtype = 0;
  uint64_t size = 0;
  std::string text;
};

struct Event {
  double wall_time = -1;
  int64_t step = 0;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
  std::vector<Histogram> histograms;
  std::vector<Text> texts;
};

// The one field of a message that holds only that.
std::string only(const std::string& bytes, int field) {
  Message message(bytes);
  if (!message.next() || message.field != field) throw std::runtime_error("another field");
  return message.text;
}

std::vector<double> doubles(const std::string& packed) {
  std::vector<double> values(packed.size() / sizeof(double));
  std::memcpy(values.data(), packed.data(), packed.size());
  return values;
}

Histogram parse_histogram(const std::string& tag, const std::string& bytes) {
  Histogram histogram{.tag = tag, .heads = {}, .limits = {}, .counts = {}};
  for (Message message(bytes); message.next();) {
    if (message.field <= 5) histogram.heads[message.field] = message.fixed<double>();
    if (message.field == 6) histogram.limits = doubles(message.text);
    if (message.field == 7) histogram.counts = doubles(message.text);
  }
  return histogram;
}

void parse_tensor(const std::string& bytes, Text& text) {
  for (Message message(bytes); message.next();) {
    if (message.field == 1) text.dtype = message.number;
    if (message.field == 8) text.text = message.text;
    if (message.field != 2) continue;
    Message dimension(only(message.text, 2));
    if (dimension.next() && dimension.field == 1) text.size = dimension.number;
  }
}

// Tag first, as the writer has it.
void parse_value(const std::string& bytes, Event& event) {
  std::string tag;
  Text text;
  for (Message message(bytes); message.next();) {
    if (message.field == 1) tag = message.text;
    if (message.field == 2) event.scalars.emplace_back(tag, message.fixed<float>());
    if (message.field == 5) event.histograms.push_back(parse_histogram(tag, message.text));
    if (message.field == 8) parse_tensor(message.text, text);
    if (message.field == 9) text.plugin = only(only(message.text, 1), 1);
  }
  text.tag = tag;
  if (!text.plugin.empty()) event.texts.push_back(text);
}

Event parse_event(const std::string& bytes) {
  Event event;
  for (Message message(bytes); message.next();) {
    if (message.field == 1) event.wall_time = message.fixed<double>();
    if (message.field == 2) event.step = static_cast<int64_t>(message.number);
    if (message.field == 3) event.version = message.text;
    if (message.field != 5) continue;
    for (Message summary(message.text); summary.next();) {
      if (summary.field == 1) parse_value(summary.text, event);
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

TEST(EventFile, HoldsHistogramsWhoseBucketsCountEveryValue) {
  const testing::TempDir dir;
  {
    TensorBoardWriter writer(dir.path());
    writer.add_histogram(5, 1.5, "length", {0.0, 1.0, 1.0, 30.0, 2.5});
    writer.add_histogram(6, 2.5, "length", {4.0, 4.0});
    writer.add_histogram(7, 3.5, "length", {});
  }
  const auto events = read_events(files_in(dir.path()).at(0));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[1].step, 5);
  const Histogram& spread = events[1].histograms.at(0);
  EXPECT_EQ(spread.tag, "length");
  EXPECT_THAT(spread.heads, ElementsAre(Pair(1, 0.0), Pair(2, 30.0), Pair(3, 5.0), Pair(4, 34.5), Pair(5, 908.25)));
  ASSERT_EQ(spread.limits.size(), 30U);
  ASSERT_EQ(spread.counts.size(), 30U);
  EXPECT_EQ(spread.limits.front(), 1.0);
  EXPECT_EQ(spread.limits.back(), 30.0);
  EXPECT_EQ(spread.counts[0], 3.0);  // a bucket holds its upper end
  EXPECT_EQ(spread.counts[2], 1.0);
  EXPECT_EQ(spread.counts[29], 1.0);
  EXPECT_THAT(events[2].histograms.at(0).limits, ElementsAre(4.0));
  EXPECT_THAT(events[2].histograms.at(0).counts, ElementsAre(2.0));
}

TEST(EventFile, HoldsTextsForTheTextPlugin) {
  const testing::TempDir dir;
  TensorBoardWriter writer(dir.path());
  writer.add_text(9, 1.5, "rollouts/first_group", "**prompt** Größe\n\n    1+1=");
  const auto text = read_events(files_in(dir.path()).at(0)).at(1).texts.at(0);
  EXPECT_EQ(text.tag, "rollouts/first_group");
  EXPECT_EQ(text.plugin, "text");
  EXPECT_EQ(text.dtype, 7U);
  EXPECT_EQ(text.size, 1U);
  EXPECT_EQ(text.text, "**prompt** Größe\n\n    1+1=");
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
