// run_local_ranks without a training behind it: local_ranks_worker SCENARIO COUNT. Python looks at what comes out.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include "app/exit_code.h"
#include "app/local_ranks.h"
#include "app/stop_signals.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"

namespace {

void on_signal(int) { _exit(grpo::app::kStopped); }

// Memory that process `number` has used at most, in kB.
long most_memory_of(pid_t number) {
  std::ifstream status("/proc/" + std::to_string(number) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6);
  }
  return -1;
}

int write_a_line_without_end() {
  const std::string part(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) std::fwrite(part.data(), 1, part.size(), stdout);
  std::fflush(stdout);
  std::fprintf(stderr, "memory %ld\n", most_memory_of(getppid()));
  return grpo::app::kDone;
}

int write_lines(int count) {
  const std::string rest(1000, 'x');
  for (int i = 0; count < 0 || i < count; ++i) std::printf("line %d %s\n", i, rest.c_str());
  return grpo::app::kDone;
}

int talk_until_told() {
  for (;;) {
    std::printf("still here\n");
    std::fflush(stdout);
    usleep(50'000);
  }
}

int die_after(int milliseconds) {
  usleep(static_cast<useconds_t>(1000 * milliseconds));
  return raise(SIGKILL);
}

int be_a_rank(const std::string& scenario, int rank) {
  if (scenario == "lines") {
    std::printf("rank %s of %s, local %s of %s, cores %d\n", std::getenv("RANK"), std::getenv("WORLD_SIZE"),
                std::getenv("LOCAL_RANK"), std::getenv("LOCAL_WORLD_SIZE"), grpo::base::usable_cores());
    std::fprintf(stderr, "store at %s\n", std::getenv("MASTER_ADDR"));
    std::printf("a line without an end");
    return grpo::app::kDone;
  }
  if (scenario == "endless_line") return write_a_line_without_end();
  if (scenario == "some_lines") return write_lines(1000);
  if (scenario == "many_lines") return write_lines(20'000);
  if (scenario == "flood") return rank == 0 ? write_lines(-1) : die_after(1000);
  if (scenario == "one_stops") return rank == 0 ? grpo::app::kStopped : grpo::app::kDone;
  if (scenario == "stop" || scenario == "talk") {
    grpo::app::handle_stop_signals(on_signal);
  } else if (scenario != "stop_late") {
    std::signal(SIGTERM, SIG_IGN);
  }
  std::printf("process %d\n", getpid());
  std::fflush(stdout);
  if (scenario == "talk") return talk_until_told();
  if (scenario == "stop_late") {
    usleep(500'000);
    grpo::app::handle_stop_signals(on_signal);
  }
  if (rank == 1 && scenario == "one_fails") {
    usleep(300000);
    return 5;
  }
  if (rank == 1 && scenario == "one_is_killed") raise(SIGKILL);
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return grpo::app::kWrongUsage;
  try {
    if (grpo::app::is_local_rank()) return be_a_rank(argv[1], std::atoi(std::getenv("RANK")));
    return grpo::app::run_local_ranks(std::atoll(argv[2]));
  } catch (const grpo::base::ConfigError& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return grpo::app::kWrongUsage;
  }
}
