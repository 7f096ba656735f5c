#include "device/nccl/processes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "support/golden.h"

namespace grpo::device_nccl {
namespace {

using Clock = std::chrono::steady_clock;

void be(int number, int size, const ncclUniqueId& id, const std::string& file, const std::function<void(Rank&)>& body,
        bool joined) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  dup2(open(file.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600), STDERR_FILENO);
  try {
    auto* const rank = new Rank{.rank = number, .size = size, .id = id};  // its stream may hang for ever
    if (joined) rank->join();
    body(*rank);
    _exit(0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    _exit(1);
  }
}

int wait_for(pid_t process, Clock::time_point deadline) {
  int status = 0;
  while (waitpid(process, &status, WNOHANG) != process) {
    if (Clock::now() > deadline) kill(process, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::string read(const std::string& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

}  // namespace

ncclResult_t Rank::error() const {
  ncclResult_t error = ncclSuccess;
  need(ncclCommGetAsyncError(comm, &error) == ncclSuccess, "no answer about errors");
  return error;
}

void Rank::wait_for_error(ncclResult_t expected, double seconds) const {
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  while (error() != expected) {
    need(Clock::now() < deadline, "the error is still " + std::to_string(error()));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void Rank::finish() { need(stream.idle_within(60), "the stream does not end"); }

void Rank::need(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

Outcome in_processes(int size, const std::function<void(Rank&)>& body, bool joined) {
  const testing::TempDir folder;
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  std::vector<pid_t> processes;
  const auto file = [&](int rank) { return folder.path() / std::to_string(rank); };
  for (int rank = 0; rank < size; ++rank) {
    const pid_t process = fork();
    if (process == 0) be(rank, size, id, file(rank), body, joined);
    processes.push_back(process);
  }
  Outcome outcome;
  const auto deadline = Clock::now() + std::chrono::seconds(90);
  for (const pid_t process : processes) outcome.codes.push_back(wait_for(process, deadline));
  for (int rank = 0; rank < size; ++rank) outcome.texts.push_back(read(file(rank)));
  return outcome;
}

void expect_success(int size, const std::function<void(Rank&)>& body, bool joined) {
  const Outcome outcome = in_processes(size, body, joined);
  for (int rank = 0; rank < size; ++rank)
    EXPECT_EQ(outcome.codes[static_cast<size_t>(rank)], 0)
        << "rank " << rank << ": " << outcome.texts[static_cast<size_t>(rank)];
}

}  // namespace grpo::device_nccl
