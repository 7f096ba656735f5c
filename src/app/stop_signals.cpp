#include "app/stop_signals.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <future>
#include <thread>

namespace grpo::app {
namespace {

sigset_t stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&set, number);
  return set;
}

}  // namespace

void handle_stop_signals(void (*handler)(int)) {
  const sigset_t set = stop_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGUSR1}) std::signal(number, handler);
  std::promise<void> ready;
  std::thread([set, &ready] {
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    ready.set_value();
    while (true) pause();
  }).detach();
  ready.get_future().wait();
}

}  // namespace grpo::app
