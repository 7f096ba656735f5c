#include "base/control_group.h"

#include <cmath>
#include <fstream>
#include <sstream>
#include <vector>

namespace grpo::base {
namespace fs = std::filesystem;
namespace {

// Version 1 writes "no limit" as the largest multiple of the page size below 2^63.
constexpr double kUnlimited = 0x1.0p62;

// The numbers in a file that are above 0; none for "max", "-1", or a file that is not there.
std::vector<double> numbers_in(const fs::path& file) {
  std::ifstream in(file);
  std::vector<double> numbers;
  for (double number = 0.0; in >> number && number > 0.0;) numbers.push_back(number);
  return numbers;
}

void lower(GroupLimits& limits, double cores, double bytes) {
  if (cores > 0.0 && (limits.cores == 0 || std::ceil(cores) < limits.cores))
    limits.cores = static_cast<int>(std::ceil(cores));
  if (bytes > 0.0 && bytes < kUnlimited &&
      (limits.memory_bytes == 0 || bytes < static_cast<double>(limits.memory_bytes)))
    limits.memory_bytes = static_cast<int64_t>(bytes);
}

void look_at(const fs::path& folder, GroupLimits& limits) {
  const auto quota = numbers_in(folder / "cpu.max");  // version 2: quota and period
  if (quota.size() == 2) lower(limits, quota[0] / quota[1], 0.0);
  const auto old_quota = numbers_in(folder / "cpu.cfs_quota_us"), period = numbers_in(folder / "cpu.cfs_period_us");
  if (old_quota.size() == 1 && period.size() == 1) lower(limits, old_quota[0] / period[0], 0.0);
  for (const char* file : {"memory.max", "memory.limit_in_bytes"}) {
    const auto bytes = numbers_in(folder / file);
    if (bytes.size() == 1) lower(limits, 0.0, bytes[0]);
  }
}

}  // namespace

GroupLimits group_limits(const std::string& groups, const fs::path& root) {
  GroupLimits limits;
  std::istringstream lines(groups);  // "0::/job_7/step_0" in version 2, "4:memory:/job_7/step_0" in version 1
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const fs::path top = root / line.substr(first + 1, second - first - 1);
    fs::path group = fs::path(line.substr(second + 1)).relative_path();
    for (; !group.empty(); group = group.parent_path()) look_at(top / group, limits);
    look_at(top, limits);
  }
  return limits;
}

}  // namespace grpo::base
