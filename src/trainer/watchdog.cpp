#include "trainer/watchdog.h"

#include <execinfo.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>

#include "grpo/base/error.h"

namespace grpo::trainer {
namespace {

constexpr int kMaxFrames = 64;
constexpr auto kAnswerWithin = std::chrono::milliseconds(500);  // a thread that hangs in the kernel never answers

std::atomic<bool> answered;

void write_text(const std::string& text) {
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

// A signal handler, which runs on the thread that is asked. backtrace_symbols_fd allocates no memory, as it must not
// there.
void print_own_stack(int) {
  std::array<void*, kMaxFrames> frames{};
  backtrace_symbols_fd(frames.data(), backtrace(frames.data(), kMaxFrames), STDERR_FILENO);
  answered = true;
}

int question() { return SIGRTMIN + 1; }

void ask(pid_t thread) {
  answered = false;
  if (::syscall(SYS_tgkill, ::getpid(), thread, question()) != 0) return;
  for (auto waited = std::chrono::milliseconds(0); !answered && waited < kAnswerWithin;
       waited += std::chrono::milliseconds(10)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (!answered) write_text("  (does not answer)\n");
}

std::string name_of(const std::filesystem::path& task) {
  std::ifstream file(task / "comm");
  std::string name;
  return std::getline(file, name) ? name + "\n" : "(ended)\n";
}

void print_all_stacks() {
  std::signal(question(), print_own_stack);
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const auto thread = static_cast<pid_t>(std::stol(task.path().filename().string()));
    if (thread == static_cast<pid_t>(::syscall(SYS_gettid))) continue;
    write_text(base::concat("thread ", thread, " ", name_of(task.path())));
    ask(thread);
  }
}

// The first call of backtrace() loads a library, which must not happen in a signal handler. So it is made before.
void prepare_backtrace() {
  void* frame = nullptr;
  backtrace(&frame, 1);
}

}  // namespace

Watchdog::Watchdog(std::chrono::milliseconds limit) : limit_(limit) {
  prepare_backtrace();
  thread_ = std::thread([this] { run(); });
}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Watchdog::enter(const std::string& phase) {
  const std::lock_guard lock(mutex_);
  phase_ = phase;
  last_ = Clock::now();
}

void Watchdog::beat() {
  const std::lock_guard lock(mutex_);
  last_ = Clock::now();
}

// Wakes up again and again. If much more time has passed than this thread has waited, the machine was suspended or the
// process stopped, and that time does not count.
void Watchdog::run() {
  const auto slice = std::clamp(limit_ / 20, std::chrono::milliseconds(10), std::chrono::milliseconds(1000));
  std::unique_lock lock(mutex_);
  for (auto before = Clock::now(); !wake_.wait_for(lock, slice, [this] { return stopping_; });) {
    const auto now = Clock::now();
    if (pauses_ > 0 || now - before > 4 * slice + std::chrono::seconds(1)) last_ = now;
    before = now;
    if (now - last_ > limit_) give_up();
  }
}

void Watchdog::give_up() const {
  const double seconds = std::chrono::duration<double>(limit_).count();
  write_text(base::concat("error: no progress for ", seconds, " s (distributed.timeout_s) in ", phase_,
                          "; every thread's stack:\n"));
  print_all_stacks();
  write_text(base::concat("error: ended, since there was no progress for ", seconds, " s in ", phase_,
                          "; start again to continue from the last checkpoint\n"));
  _exit(1);
}

Watchdog::Pause::Pause(Watchdog& watchdog) : watchdog_(watchdog) {
  const std::lock_guard lock(watchdog_.mutex_);
  ++watchdog_.pauses_;
}

Watchdog::Pause::~Pause() {
  const std::lock_guard lock(watchdog_.mutex_);
  --watchdog_.pauses_;
  watchdog_.last_ = Clock::now();
}

}  // namespace grpo::trainer
