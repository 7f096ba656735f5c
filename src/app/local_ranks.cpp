#include "app/local_ranks.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "app/exit_code.h"
#include "app/line_writer.h"
#include "app/stop_signals.h"
#include "grpo/base/clock.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"

namespace grpo::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kParent = "GRPO_NPROC_PARENT";  // id of the process that started this one as a rank
constexpr std::array<const char*, 4> kRankVariables = {"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK",
                                                       "SLURM_STEP_NUM_TASKS"};
// The time between the first failure and the end of the other ranks. After a rank was killed they are told so, and need
// longer to report what it was doing.
constexpr std::chrono::milliseconds kAfterWord{2500};
constexpr std::chrono::milliseconds kAfterDeath{6000};
// How long a run that was stopped or failed waits for a reader that takes none of its remaining output.
constexpr std::chrono::seconds kForReader{5};
// A line that has no end yet is passed on in pieces of this size.
constexpr size_t kLongestLine = 1 << 20;

[[noreturn]] void fail(const char* what) {
  throw base::Error(base::concat("--nproc: ", what, ": ", std::strerror(errno)));
}

/// What one rank writes to stdout or to stderr, line by line.
struct Output {
  int from = -1;  // our end of the pipe; -1 when it is closed
  LineWriter* to = nullptr;
  std::string line;
};

struct Child {
  pid_t pid = -1;
  bool running = true;
  std::array<Output, 2> outputs;
};

// A port that was free a moment ago.
int free_port() {
  const int handle = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (handle < 0 || bind(handle, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      getsockname(handle, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    fail("no free port on 127.0.0.1");
  }
  close(handle);
  return ntohs(address.sin_port);
}

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  return arguments;
}

// The arguments with which a rank starts and which ps shows: "grpo-train (rank 1) train --config ...".
std::vector<std::string> arguments_of(int64_t rank) {
  auto arguments = own_arguments();
  const bool is_train = std::filesystem::path(arguments.at(0)).filename() == "grpo-train";
  arguments[0] = base::concat("grpo-train (rank ", rank, ")");
  if (is_train) arguments.insert(arguments.begin() + 1, "train");
  return arguments;
}

void refuse_another_launcher() {
  for (const char* name : kRankVariables) {
    const char* value = std::getenv(name);
    // The shell of a Slurm allocation may itself be a step of one task; it is not a rank.
    if (value == nullptr || (std::string_view(name) == "SLURM_STEP_NUM_TASKS" && std::string_view(value) == "1"))
      continue;
    throw base::ConfigError(base::concat("--nproc starts the ranks itself, but ", name, "=", value,
                                         " says that a launcher has done so: use one of them"));
  }
}

std::vector<std::string> environment_of(int64_t rank, int64_t count, int port) {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  const auto set = [&variables](const std::string& name, const auto& value) {
    std::erase_if(variables, [&name](const std::string& entry) { return entry.starts_with(name + "="); });
    variables.push_back(base::concat(name, "=", value));
  };
  set("RANK", rank);
  set("WORLD_SIZE", count);
  set("LOCAL_RANK", rank);
  set("LOCAL_WORLD_SIZE", count);
  set("MASTER_ADDR", "127.0.0.1");
  set("MASTER_PORT", port);
  set("TORCHELASTIC_USE_AGENT_STORE", "False");
  set("GRPO_CORES", std::max<int64_t>(1, base::usable_cores() / count));
  set(kParent, getpid());
  return variables;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (auto& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// Runs between fork and exec, where only few calls are safe. The rank gets a process group of its own, so that Ctrl-C
// only reaches the parent, which passes it on once: a second signal would drop the step under way. `waiting`: signals
// that wait until the rank is ready to take them.
[[noreturn]] void become_rank(char* const* arguments, char* const* environment, int out, int err, pid_t parent,
                              const sigset_t& waiting) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kFailed);  // the parent died before prctl took effect
  sigprocmask(SIG_SETMASK, &waiting, nullptr);
  const int input = open("/dev/null", O_RDONLY);
  dup2(input, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  execve("/proc/self/exe", arguments, environment);
  _exit(kFailed);
}

Child start(int64_t rank, int64_t count, int port, LineWriter& to_stdout, LineWriter& to_stderr) {
  auto arguments = arguments_of(rank);
  auto environment = environment_of(rank, count, port);
  const auto argument_pointers = pointers(arguments);
  const auto environment_pointers = pointers(environment);
  std::array<int, 2> out{}, err{};
  if (pipe2(out.data(), O_CLOEXEC) != 0 || pipe2(err.data(), O_CLOEXEC) != 0) fail("pipe");
  const pid_t parent = getpid();
  const sigset_t waiting = set_of(stop_signals());
  Child child;
  child.pid = fork();
  if (child.pid < 0) fail("fork");
  if (child.pid == 0)
    become_rank(argument_pointers.data(), environment_pointers.data(), out[1], err[1], parent, waiting);
  close(out[1]);
  close(err[1]);
  child.outputs = {Output{.from = out[0], .to = &to_stdout}, Output{.from = err[0], .to = &to_stderr}};
  for (const Output& output : child.outputs) fcntl(output.from, F_SETFL, O_NONBLOCK);
  return child;
}

// Signals come through a descriptor, so that one poll waits for both signals and output. They are blocked before the
// first rank and the first thread start, so that none is lost.
int signals_as_descriptor() {
  auto numbers = stop_signals();
  numbers.push_back(SIGCHLD);
  const sigset_t set = set_of(numbers);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // LineWriter notices a closed pipe instead
  const int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (descriptor < 0) fail("signalfd");
  return descriptor;
}

/// The ranks of this host while they run.
class LocalRanks {
 public:
  LocalRanks(int64_t count, bool label);
  ~LocalRanks();
  LocalRanks(const LocalRanks&) = delete;
  LocalRanks& operator=(const LocalRanks&) = delete;
  int wait();

 private:
  bool any_running() const;
  void wait_for_news();
  bool read_signals();
  void reap();
  void note_end(int64_t rank, int status);
  void tell_of_death(int64_t rank);
  void end_the_others();
  void send_all(int signal);
  bool read(int64_t rank, Output& output);
  void read_the_rest();
  void write_line(int64_t rank, Output& output);
  void wait_for_reader(const LineWriter& writer);
  int exit_code();

  const bool label_;  // whether lines begin with their rank
  const int signals_ = signals_as_descriptor();
  LineWriter stdout_{STDOUT_FILENO};
  LineWriter stderr_{STDERR_FILENO};
  std::vector<Child> children_;
  int first_failure_ = kDone;
  bool stopped_ = false;
  bool told_to_end_ = false;   // a signal came after the last rank had ended
  Clock::time_point kill_at_;  // when the remaining ranks are killed after a failure
};

// Log messages of this process go through the LineWriter too, so that they do not wait for the reader either.
LocalRanks::LocalRanks(int64_t count, bool label) : label_(label) {
  base::log_through([this](const std::string& level, const std::string& message) {
    stderr_.add(base::concat(base::clock_time(), " ", level, " ", message));
  });
  const int port = free_port();
  for (int64_t rank = 0; rank < count; ++rank) children_.push_back(start(rank, count, port, stdout_, stderr_));
}

LocalRanks::~LocalRanks() {
  send_all(SIGKILL);  // ranks still run only after an exception
  for (const Child& child : children_) {
    if (child.running) waitpid(child.pid, nullptr, 0);
  }
  base::log_through({});
  close(signals_);
}

int LocalRanks::wait() {
  while (any_running()) {
    wait_for_news();
    read_signals();
    reap();
    end_the_others();
  }
  read_the_rest();
  return exit_code();
}

bool LocalRanks::any_running() const {
  return std::any_of(children_.begin(), children_.end(), [](const Child& child) { return child.running; });
}

void LocalRanks::wait_for_news() {
  std::vector<pollfd> waiting = {{.fd = signals_, .events = POLLIN, .revents = 0}};
  for (const Child& child : children_) {
    for (const Output& output : child.outputs) waiting.push_back({.fd = output.from, .events = POLLIN, .revents = 0});
  }
  poll(waiting.data(), waiting.size(), first_failure_ == kDone ? 1000 : 100);
  size_t next = 1;
  for (size_t rank = 0; rank < children_.size(); ++rank) {
    for (Output& output : children_[rank].outputs) {
      if (waiting[next++].revents != 0) read(static_cast<int64_t>(rank), output);
    }
  }
}

// Passes signals on to the ranks. Returns whether one of them stops a run.
bool LocalRanks::read_signals() {
  signalfd_siginfo info{};
  bool stops = false;
  while (::read(signals_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGCHLD) continue;
    send_all(info.ssi_signo == SIGHUP ? SIGTERM : static_cast<int>(info.ssi_signo));
    stops = true;
  }
  return stops;
}

void LocalRanks::reap() {
  for (size_t rank = 0; rank < children_.size(); ++rank) {
    Child& child = children_[rank];
    int status = 0;
    if (!child.running || waitpid(child.pid, &status, WNOHANG) != child.pid) continue;
    child.running = false;
    note_end(static_cast<int64_t>(rank), status);
  }
}

void LocalRanks::note_end(int64_t rank, int status) {
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  if (code == kStopped) stopped_ = true;
  if (code == kDone || code == kStopped || first_failure_ != kDone) return;
  first_failure_ = code;
  kill_at_ = Clock::now() + (WIFSIGNALED(status) ? kAfterDeath : kAfterWord);
  const std::string how = WIFSIGNALED(status) ? base::concat("was killed by signal ", WTERMSIG(status), " (",
                                                             strsignal(WTERMSIG(status)), ")")
                                              : base::concat("ended with exit code ", code);
  base::log_error(base::concat("rank ", rank, " (process ", children_[static_cast<size_t>(rank)].pid, ") ", how,
                               any_running() ? "; ending the others" : ""));
  if (WIFSIGNALED(status)) tell_of_death(rank);
}

void LocalRanks::tell_of_death(int64_t rank) {
  for (const Child& child : children_) {
    if (child.running) sigqueue(child.pid, death_signal(), {.sival_int = static_cast<int>(rank)});
  }
}

void LocalRanks::end_the_others() {
  if (first_failure_ != kDone && Clock::now() >= kill_at_) send_all(SIGKILL);
}

void LocalRanks::send_all(int signal) {
  for (const Child& child : children_) {
    if (child.running) kill(child.pid, signal);
  }
}

// Reads once, so that a rank which writes without end does not keep us from the others.
// Returns false if there was nothing.
bool LocalRanks::read(int64_t rank, Output& output) {
  std::array<char, 65536> buffer{};
  const ssize_t count = output.from < 0 ? -1 : ::read(output.from, buffer.data(), buffer.size());
  if (count < 0) return false;
  if (count == 0) {
    close(std::exchange(output.from, -1));
    if (!output.line.empty()) write_line(rank, output);  // its last line had no line break
    return false;
  }
  for (const char c : std::string_view(buffer.data(), static_cast<size_t>(count))) {
    if (c != '\n') output.line += c;
    if (c == '\n' || output.line.size() >= kLongestLine) write_line(rank, output);
  }
  return true;
}

// Reads what is left in the pipes of ranks that have ended. That is at most a pipe's capacity, unless a process that
// they started still writes; such a process is not waited for.
void LocalRanks::read_the_rest() {
  for (size_t rank = 0; rank < children_.size(); ++rank) {
    for (Output& output : children_[rank].outputs) {
      for (int i = 0; i < 64 && read(static_cast<int64_t>(rank), output); ++i) {
      }
      if (!output.line.empty()) write_line(static_cast<int64_t>(rank), output);
    }
  }
}

void LocalRanks::write_line(int64_t rank, Output& output) {
  if (label_) output.line.insert(0, base::concat("[", rank, "] "));
  output.to->add(std::exchange(output.line, {}));
}

// Waits for the reader without limit, as any program does, if all went well and no signal came. Otherwise it only waits
// while the reader takes something, since whoever waits for our exit code must learn of a failure even if nobody reads.
void LocalRanks::wait_for_reader(const LineWriter& writer) {
  const auto is_in_order = [this] { return first_failure_ == kDone && !stopped_ && !told_to_end_; };
  while (!writer.is_empty() && (is_in_order() || writer.stuck_for() < kForReader)) {
    pollfd news{.fd = signals_, .events = POLLIN, .revents = 0};
    poll(&news, 1, 20);
    if (read_signals()) told_to_end_ = true;
  }
}

int LocalRanks::exit_code() {
  wait_for_reader(stdout_);
  if (stdout_.lost() > 0) base::log_error(base::concat(stdout_.lost(), " lines could not be written to stdout"));
  wait_for_reader(stderr_);
  if (first_failure_ != kDone) return first_failure_;
  if (stdout_.lost() > 0) return kFailed;
  return stopped_ ? kStopped : kDone;
}

}  // namespace

void name_rank(int64_t rank) { prctl(PR_SET_NAME, base::concat("grpo-train ", rank).c_str()); }

bool is_local_rank() {
  const char* parent = std::getenv(kParent);
  return parent != nullptr && std::strtoll(parent, nullptr, 10) == getppid();
}

int death_signal() { return SIGRTMIN; }

int run_local_ranks(int64_t count, bool label) {
  refuse_another_launcher();
  return LocalRanks(count, label).wait();
}

}  // namespace grpo::app
