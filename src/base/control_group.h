#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace grpo::base {

/// What control groups allow a process; 0 where nothing is limited.
struct GroupLimits {
  int cores = 0;  // the smallest quota, rounded up
  int64_t memory_bytes = 0;
};

/// The limits of the control groups that `groups` (the text of /proc/self/cgroup) names, and of all groups that these
/// are in: a batch system or systemd limits a job by a group whose processes are in groups below it. Reads versions 1
/// and 2 of Linux's control groups. `root` is /sys/fs/cgroup. In a container its own group may be the root there while
/// `groups` gives the host's path; folders that do not exist limit nothing, and the root is always looked at.
GroupLimits group_limits(const std::string& groups, const std::filesystem::path& root);

}  // namespace grpo::base
