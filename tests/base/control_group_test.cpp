#include "base/control_group.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/golden.h"

namespace grpo::base {
namespace {

namespace fs = std::filesystem;

class ControlGroup : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  void write(const std::string& file, const std::string& text) {
    fs::create_directories((dir_.path() / file).parent_path());
    std::ofstream(dir_.path() / file) << text << "\n";
  }
};

TEST_F(ControlGroup, LimitsOfTheGroupsAroundAProcessCount) {
  write("system.slice/job_7/memory.max", "8000000000");
  write("system.slice/job_7/cpu.max", "350000 100000");
  write("system.slice/job_7/step_0/memory.max", "max");
  write("system.slice/job_7/step_0/cpu.max", "max 100000");
  write("system.slice/memory.max", "64000000000");
  const auto limits = group_limits("0::/system.slice/job_7/step_0\n", dir_.path());
  EXPECT_EQ(limits.memory_bytes, 8'000'000'000);
  EXPECT_EQ(limits.cores, 4);
}

TEST_F(ControlGroup, TheFirstVersionHasAFolderForEachKind) {
  write("memory/job_7/memory.limit_in_bytes", "4000000000");
  write("memory/memory.limit_in_bytes", "9223372036854771712");
  write("cpu,cpuacct/job_7/cpu.cfs_quota_us", "150000");
  write("cpu,cpuacct/job_7/cpu.cfs_period_us", "100000");
  write("cpu,cpuacct/cpu.cfs_quota_us", "-1");
  write("cpu,cpuacct/cpu.cfs_period_us", "100000");
  const auto limits = group_limits("4:memory:/job_7\n1:cpu,cpuacct:/job_7\n0::/\n", dir_.path());
  EXPECT_EQ(limits.memory_bytes, 4'000'000'000);
  EXPECT_EQ(limits.cores, 2);
}

TEST_F(ControlGroup, InAContainerTheRootIsItsOwn) {
  write("memory.max", "2000000000");
  write("cpu.max", "100000 100000");
  for (const char* groups : {"0::/\n", "0::/docker/0123\n", "0::/../../other\n"}) {
    const auto limits = group_limits(groups, dir_.path());
    EXPECT_EQ(limits.memory_bytes, 2'000'000'000) << groups;
    EXPECT_EQ(limits.cores, 1) << groups;
  }
}

TEST_F(ControlGroup, NothingIsLimitedWhereNothingSaysSo) {
  write("memory/memory.limit_in_bytes", "9223372036854771712");
  write("cpu.max", "max 100000");
  const auto limits = group_limits("4:memory:/job\n0::/\nno line\n", dir_.path());
  EXPECT_EQ(limits.memory_bytes, 0);
  EXPECT_EQ(limits.cores, 0);
}

}  // namespace
}  // namespace grpo::base
