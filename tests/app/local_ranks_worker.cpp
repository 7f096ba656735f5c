// run_local_ranks without a training behind it: local_ranks_worker SCENARIO COUNT. Python looks at what comes out.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "app/exit_code.h"
#include "app/local_ranks.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"

namespace {

void on_signal(int) { _exit(grpo::app::kStopped); }

int be_a_rank(const std::string& scenario, int rank) {
  if (scenario == "lines") {
    std::printf("rank %s of %s, local %s of %s, cores %d\n", std::getenv("RANK"), std::getenv("WORLD_SIZE"),
                std::getenv("LOCAL_RANK"), std::getenv("LOCAL_WORLD_SIZE"), grpo::base::usable_cores());
    std::fprintf(stderr, "store at %s\n", std::getenv("MASTER_ADDR"));
    std::printf("a line without an end");
    return grpo::app::kDone;
  }
  if (scenario == "one_stops") return rank == 0 ? grpo::app::kStopped : grpo::app::kDone;
  if (scenario == "stop") {
    for (const int number : {SIGINT, SIGTERM, SIGUSR1}) std::signal(number, on_signal);
  } else {
    std::signal(SIGTERM, SIG_IGN);
  }
  std::printf("process %d\n", getpid());
  std::fflush(stdout);
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
