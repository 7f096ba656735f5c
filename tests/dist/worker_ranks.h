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
  explicit WorkerRanks(int64_t count, const std::string& scenario, int64_t timeout_s = 60);
  /// With the store in a process of its own, as torchrun's agent has it.
  static WorkerRanks with_agent(int64_t count, const std::string& scenario) {
    return WorkerRanks(count, scenario, 60, true);
  }
  ~WorkerRanks();
  WorkerRanks(const WorkerRanks&) = delete;
  WorkerRanks& operator=(const WorkerRanks&) = delete;

  /// Waits until each rank has written `line`.
  void wait_for_line(const std::string& line);
  void send(int64_t rank, int signal);
  void kill_agent();
  /// Exit code by rank (128 + n: ended by signal n; -1: not ended after `seconds`). exempt: a rank not waited for.
  std::vector<int> wait(double seconds, int64_t exempt = -1);
  /// All it has written, to both outputs.
  std::string text(int64_t rank) const;

 private:
  WorkerRanks(int64_t count, const std::string& scenario, int64_t timeout_s, bool agent);
  pid_t start(int64_t rank, const std::string& scenario, int64_t argument) const;
  std::filesystem::path folder_;
  int port_ = 0;
  pid_t agent_ = 0;  // 0: rank 0 has the store
  std::vector<pid_t> processes_;
  std::vector<int> codes_;  // -1: running
};

}  // namespace grpo::dist
