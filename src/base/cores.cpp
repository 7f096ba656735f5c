#include "grpo/base/cores.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

namespace grpo::base {
namespace {

// Cores that the control group's quota allows, rounded up; 0 when there is no quota.
int quota_cores() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0.0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0.0) return 0;
  return static_cast<int>(std::ceil(std::stod(quota) / period));
}

// Bytes that the control group allows; 0 when there is no limit.
int64_t limited_memory() {
  std::ifstream file("/sys/fs/cgroup/memory.max");
  std::string bytes;
  if (!(file >> bytes) || bytes == "max") return 0;
  return std::stoll(bytes);
}

// Cores that --nproc gives to each of its processes; 0 when GRPO_CORES is not set.
int share_of_cores() {
  const char* text = std::getenv("GRPO_CORES");
  return text == nullptr ? 0 : static_cast<int>(std::strtol(text, nullptr, 10));
}

}  // namespace

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  const int quota = quota_cores();
  if (quota > 0) cores = std::min(cores, quota);
  const int share = share_of_cores();
  if (share > 0) cores = std::min(cores, share);
  return std::max(cores, 1);
}

int64_t usable_memory_bytes() {
  const int64_t machine = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const int64_t limit = limited_memory();
  return limit > 0 ? std::min(machine, limit) : machine;
}

}  // namespace grpo::base
