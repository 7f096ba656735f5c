#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace grpo::dist {

/// Processes of grpo_dist_worker, ranks 0 ... count - 1 of one run; those still there are killed at the end.
class WorkerRanks {
 public:
  WorkerRanks(int64_t count, const std::string& scenario, int64_t timeout_s = 60);
  ~WorkerRanks();
  WorkerRanks(const WorkerRanks&) = delete;
  WorkerRanks& operator=(const WorkerRanks&) = delete;

  /// Waits until each rank has written `line`.
  void wait_for_line(const std::string& line);
  void send(int64_t rank, int signal);
  /// Exit code by rank (128 + n: ended by signal n; -1: not ended after `seconds`). exempt: a rank not waited for.
  std::vector<int> wait(double seconds, int64_t exempt = -1);
  /// All it has written, to both outputs.
  std::string text(int64_t rank) const;

 private:
  pid_t start(int64_t rank, int64_t count, const std::string& scenario, int64_t timeout_s, int port) const;
  std::filesystem::path folder_;
  std::vector<pid_t> processes_;
  std::vector<int> codes_;  // -1: running
};

}  // namespace grpo::dist
