#include "grpo/base/cores.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/control_group.h"

namespace grpo::base {
namespace {

const GroupLimits& own_limits() {
  static const GroupLimits limits = [] {
    std::ostringstream groups;
    groups << std::ifstream("/proc/self/cgroup").rdbuf();
    return group_limits(groups.str(), "/sys/fs/cgroup");
  }();
  return limits;
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
  if (const int quota = own_limits().cores; quota > 0) cores = std::min(cores, quota);
  const int share = share_of_cores();
  if (share > 0) cores = std::min(cores, share);
  return std::max(cores, 1);
}

int64_t usable_memory_bytes() {
  const int64_t machine = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const int64_t limit = own_limits().memory_bytes;
  return limit > 0 ? std::min(machine, limit) : machine;
}

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown";
}

}  // namespace grpo::base
