#include "dist/worker_ranks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <thread>

namespace grpo::dist {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

int free_port() {
  const int handle = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  bind(handle, reinterpret_cast<sockaddr*>(&address), length);
  getsockname(handle, reinterpret_cast<sockaddr*>(&address), &length);
  close(handle);
  return ntohs(address.sin_port);
}

// Beside this program, also where both were taken elsewhere.
fs::path worker() { return fs::read_symlink("/proc/self/exe").parent_path() / "grpo_dist_worker"; }

void pause_shortly() { std::this_thread::sleep_for(std::chrono::milliseconds(50)); }

}  // namespace

WorkerRanks::WorkerRanks(int64_t count, const std::string& scenario, int64_t timeout_s)
    : WorkerRanks(count, scenario, timeout_s, false) {}

WorkerRanks::WorkerRanks(int64_t count, const std::string& scenario, int64_t timeout_s, bool agent)
    : port_(free_port()), codes_(static_cast<size_t>(count), -1) {
  std::string pattern = (fs::temp_directory_path() / "grpo_dist_XXXXXX").string();
  folder_ = mkdtemp(pattern.data());
  if (agent) agent_ = start(count, "agent", port_);
  for (int64_t rank = 0; rank < count; ++rank) processes_.push_back(start(rank, scenario, timeout_s));
}

WorkerRanks::~WorkerRanks() {
  for (size_t r = 0; r < processes_.size(); ++r) {
    if (codes_[r] >= 0) continue;
    kill(processes_[r], SIGKILL);
    waitpid(processes_[r], nullptr, 0);
  }
  kill_agent();
  fs::remove_all(folder_);
}

pid_t WorkerRanks::start(int64_t rank, const std::string& scenario, int64_t argument) const {
  const std::string file = (folder_ / std::to_string(rank)).string();
  const std::string count = std::to_string(codes_.size());
  const pid_t process = fork();
  if (process != 0) return process;
  setenv("RANK", std::to_string(rank).c_str(), 1);
  setenv("WORLD_SIZE", count.c_str(), 1);
  setenv("LOCAL_RANK", std::to_string(rank).c_str(), 1);
  setenv("LOCAL_WORLD_SIZE", count.c_str(), 1);
  setenv("MASTER_ADDR", "127.0.0.1", 1);
  setenv("MASTER_PORT", std::to_string(port_).c_str(), 1);
  setenv("TORCHELASTIC_USE_AGENT_STORE", agent_ != 0 || scenario == "agent" ? "True" : "False", 1);
  setenv("TORCHELASTIC_RESTART_COUNT", "1", 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  const int out = open(file.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  execl(worker().c_str(), worker().c_str(), scenario.c_str(), std::to_string(argument).c_str(), nullptr);
  _exit(127);
}

void WorkerRanks::wait_for_line(const std::string& line) {
  const auto deadline = Clock::now() + std::chrono::seconds(60);
  for (size_t r = 0; r < processes_.size(); ++r) {
    while (text(static_cast<int64_t>(r)).find(line + "\n") == std::string::npos) {
      ASSERT_LT(Clock::now(), deadline) << "rank " << r << " wrote only: " << text(static_cast<int64_t>(r));
      pause_shortly();
    }
  }
}

void WorkerRanks::kill_agent() {
  if (agent_ == 0) return;
  kill(agent_, SIGKILL);
  waitpid(agent_, nullptr, 0);
  agent_ = 0;
}

void WorkerRanks::send(int64_t rank, int signal) { kill(processes_[static_cast<size_t>(rank)], signal); }

std::vector<int> WorkerRanks::wait(double seconds, int64_t exempt) {
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  for (size_t r = 0; r < processes_.size(); ++r) {
    int status = 0;
    while (codes_[r] < 0 && static_cast<int64_t>(r) != exempt && Clock::now() < deadline) {
      if (waitpid(processes_[r], &status, WNOHANG) == processes_[r]) {
        codes_[r] = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
      } else {
        pause_shortly();
      }
    }
  }
  return codes_;
}

std::string WorkerRanks::text(int64_t rank) const {
  std::ostringstream out;
  out << std::ifstream(folder_ / std::to_string(rank)).rdbuf();
  return out.str();
}

}  // namespace grpo::dist
