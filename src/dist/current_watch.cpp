#include "dist/current_watch.h"

#include <unistd.h>

#include <mutex>
#include <utility>

#include "grpo/dist/communicator.h"

namespace grpo::dist {
namespace {

// The watch of this process. It is kept here because report_failure is called after the communicator is gone.
std::mutex current_mutex;
std::shared_ptr<Watch> current_watch;

}  // namespace

void set_current_watch(std::shared_ptr<Watch> watch) {
  const std::lock_guard lock(current_mutex);
  current_watch = std::move(watch);
}

// The line goes out in one write, so that lines of several ranks on one terminal stay whole. Flushes and destructors
// are left out on purpose, since another thread of this process may hold any lock.
void end_process(const std::string& message, int exit_code) {
  const std::string line = "error: " + message + "\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, line.data(), line.size());
  _exit(exit_code);
}

void report_failure(const std::string& message, int exit_code) {
  std::shared_ptr<Watch> watch;
  {
    const std::lock_guard lock(current_mutex);
    watch = std::exchange(current_watch, nullptr);
  }
  if (watch) watch->report(message, exit_code);
}

}  // namespace grpo::dist
