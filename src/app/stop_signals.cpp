#include "app/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <thread>

namespace grpo::app {
namespace {

// nohup makes a program ignore SIGHUP, and that must stay so.
bool is_ignored(int number) {
  struct sigaction action {};
  return sigaction(number, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

std::vector<int> stop_signals() {
  std::vector<int> numbers = {SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
  if (!is_ignored(SIGHUP)) numbers.push_back(SIGHUP);
  return numbers;
}

sigset_t set_of(const std::vector<int>& numbers) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : numbers) sigaddset(&set, number);
  return set;
}

void block_stop_signals() {
  const sigset_t set = set_of(stop_signals());
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void handle_stop_signals(void (*handler)(int)) {
  block_stop_signals();
  const auto numbers = stop_signals();
  const sigset_t set = set_of(numbers);
  for (const int number : numbers) std::signal(number, handler);
  std::signal(SIGPIPE, SIG_IGN);
  std::promise<void> ready;
  std::thread([set, &ready] {
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    ready.set_value();
    while (true) pause();
  }).detach();
  ready.get_future().wait();
}

}  // namespace grpo::app
