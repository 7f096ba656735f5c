#include "app/stop_signals.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>

namespace grpo::app {
namespace {

std::atomic<int> received = 0;
std::atomic<int> on_computing_thread = 0;
std::atomic<pid_t> computing[2] = {};

void on_signal(int) {
  const pid_t thread = gettid();
  if (thread == computing[0] || thread == computing[1]) ++on_computing_thread;
  ++received;
}

bool wait_for(int count) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (received < count && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return received >= count;
}

// Both in one test, since a process begins to handle signals once.
TEST(StopSignals, WaitUntilTheyAreHandledAndThenReachNoThreadThatComputes) {
  block_stop_signals();
  for (const int number : {SIGTERM, SIGUSR1}) kill(getpid(), number);
  handle_stop_signals(on_signal);
  EXPECT_TRUE(wait_for(2));
  computing[0] = gettid();
  std::atomic<bool> done = false;
  std::thread worker([&] {
    computing[1] = gettid();
    while (!done) {
    }
  });
  while (computing[1] == 0) {
  }
  int sent = 2;
  for (const int number : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGINT, SIGUSR1, SIGTERM}) {
    kill(getpid(), number);
    EXPECT_TRUE(wait_for(++sent));
  }
  done = true;
  worker.join();
  EXPECT_EQ(on_computing_thread, 0);
}

}  // namespace
}  // namespace grpo::app
