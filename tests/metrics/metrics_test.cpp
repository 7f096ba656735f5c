#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "grpo/base/error.h"
#include "grpo/io/file.h"
#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/tensorboard.h"
#include "grpo/metrics/timer.h"
#include "metrics/tfrecord.h"
#include "support/golden.h"

namespace grpo::metrics {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

MetricsLine line_with(double loss) {
  MetricsLine line;
  line.add("loss", loss);
  line.add("rollouts", 128.0);
  return line;
}

TEST(MetricsWriter, WritesOneOrderedObjectAStep) {
  testing::TempDir dir;
  const fs::path path = dir.path() / "metrics.jsonl";
  MetricsWriter(path).write(1, 2.5, line_with(0.1));
  EXPECT_EQ(io::read_file(path), "{\"step\":1,\"time\":2.5,\"loss\":0.1,\"rollouts\":128}\n");
}

TEST(MetricsWriter, ANameThatIsNoUtf8IsWrittenAlikeToFileAndConsole) {
  testing::TempDir dir;
  MetricsLine line;
  line.add("eval/h\xE9/mean@4", 0.5);  // an evaluation set has the name of its file
  MetricsWriter(dir.path() / "metrics.jsonl").write(1, 2.5, line);
  EXPECT_EQ(to_json_text(1, 2.5, line) + "\n", io::read_file(dir.path() / "metrics.jsonl"));
}

TEST(MetricsWriter, NamesTheKeyThatIsNotFinite) {
  testing::TempDir dir;
  MetricsWriter writer(dir.path() / "metrics.jsonl");
  try {
    writer.write(7, 0.0, line_with(std::nan("")));
    FAIL() << "NaN was written";
  } catch (const base::Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("loss is nan at step 7"));
  }
}

TEST(CutBack, DropsLaterLinesAndATornOne) {
  testing::TempDir dir;
  const fs::path path = dir.path() / "metrics.jsonl";
  {
    MetricsWriter writer(path);
    for (int64_t step = 0; step <= 3; ++step) writer.write(step, 0.0, line_with(1.0));
  }
  io::write_file_atomic(path, io::read_file(path) + "{\"step\":1,\"lo");
  EXPECT_EQ(last_step(path), 3);
  cut_back(path, 2);
  EXPECT_EQ(last_step(path), 2);
  EXPECT_THAT(io::read_file(path), ::testing::EndsWith("\n"));
  EXPECT_EQ(last_step(dir.path() / "absent"), -1);
}

// Known answer of CRC-32C (RFC 3720, B.4): 32 zero bytes give 8A9136AA; TFRecord rotates it by 15 and adds A282EAD8.
TEST(TfRecord, MasksTheCastagnoliChecksum) {
  const std::string frame = frame_record(std::string(32, '\0'));
  uint32_t stored = 0;
  std::memcpy(&stored, frame.data() + frame.size() - 4, 4);
  const uint32_t crc = 0x8A9136AAu;
  EXPECT_EQ(stored, ((crc >> 15) | (crc << 17)) + 0xA282EAD8u);
}

TEST(TfRecord, StopsAtADamagedRecord) {
  std::string file = frame_record("first") + frame_record("second");
  EXPECT_EQ(read_records(file).size(), 2u);
  file[file.size() - 6] ^= 1;
  EXPECT_EQ(read_records(file), std::vector<std::string>{"first"});
  EXPECT_EQ(read_records(file.substr(0, 7)).size(), 0u);
}

std::vector<std::string> events_in(const fs::path& folder) {
  std::vector<std::string> events;
  for (const auto& entry : fs::directory_iterator(folder)) {
    for (auto& event : read_records(io::read_file(entry.path()))) events.push_back(event);
  }
  return events;
}

TEST(TensorBoardWriter, WritesAVersionAndOneEventAStep) {
  testing::TempDir dir;
  {
    TensorBoardWriter writer(dir.path());
    for (int64_t step = 1; step <= 300; ++step) writer.add_scalars(step, 1.0, line_with(0.5));
  }
  const auto events = events_in(dir.path());
  ASSERT_EQ(events.size(), 301u);
  EXPECT_THAT(events[0], HasSubstr("brain.Event:2"));
  EXPECT_THAT(events[1], HasSubstr("loss"));
  cut_back_events(dir.path(), 200);
  EXPECT_EQ(events_in(dir.path()).size(), 201u);
}

double thread_cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + 1e-9 * static_cast<double>(used.tv_nsec);
}

// The bound of the second half is far from both: waiting takes some microseconds of computing.
TEST(CpuSeconds, CountWhatAllThreadsComputeAndNoWaiting) {
  const double start = cpu_seconds();
  std::thread([] {
    while (thread_cpu_seconds() < 0.02) {
    }
  }).join();
  const double computed = cpu_seconds();
  EXPECT_GE(computed - start, 0.02);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(cpu_seconds() - computed, 0.1);
}

TEST(PeakMemory, IsAtLeastWhatWasJustTouched) {
  std::vector<char> block(64 << 20, 1);
  asm volatile("" : : "r"(block.data()) : "memory");  // Clang leaves out a block that nobody reads
  EXPECT_GT(peak_memory_bytes(), static_cast<int64_t>(block.size()));
}

}  // namespace
}  // namespace grpo::metrics
