#include "reward/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "grpo/base/error.h"

namespace grpo::reward {
namespace {

constexpr int kReport = 3;  // the descriptor at which the child tells why it could not run the program
constexpr int kAboveAll = 16;

struct Pipe {
  Handle read, write;
};

[[noreturn]] void fail(const std::string& what) { throw base::Error(what + ": " + std::strerror(errno)); }

Pipe make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe");
  return {Handle(ends[0]), Handle(ends[1])};
}

void never_block(const Handle& handle) {
  if (::fcntl(handle.get(), F_SETFL, O_NONBLOCK) != 0) fail("fcntl");
}

// PATH is searched here and not by execvp, which would run a file without a first line "#!" in a shell.
std::string path_of(const std::string& program) {
  if (program.find('/') != std::string::npos) return program;
  const char* variable = std::getenv("PATH");
  std::string folders = variable != nullptr ? variable : "/usr/local/bin:/usr/bin:/bin";
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const std::string candidate = folders.substr(begin, end - begin) + "/" + program;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    begin = end + 1;
  }
  throw base::Error(program + ": no such program in PATH");
}

// Runs in the child between fork and exec, where only async-signal-safe functions are allowed. `streams` become its
// descriptors 0, 1, 2 and kReport.
[[noreturn]] void become(const char* path, char* const* argv, std::array<int, 4> streams, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // Copies with high numbers first, so that dup2 below cannot overwrite a stream that is still needed.
  for (int& stream : streams) stream = ::fcntl(stream, F_DUPFD, kAboveAll);
  for (int i = 0; i < static_cast<int>(streams.size()); ++i) ::dup2(streams[static_cast<size_t>(i)], i);
  ::fcntl(kReport, F_SETFD, FD_CLOEXEC);
  ::closefrom(kReport + 1);
  std::signal(SIGPIPE, SIG_DFL);  // ignored signals would stay ignored through exec
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (::getppid() == parent) ::execv(path, argv);
  const int error = errno;
  if (::write(kReport, &error, sizeof error) < 0) ::_exit(126);
  ::_exit(127);
}

std::string explanation(const std::string& path, int error) {
  std::string text = path + ": " + std::strerror(error);
  if (error == ENOEXEC) text += " (a script needs a first line such as #!/usr/bin/env python3)";
  if (error == ENOENT || error == EACCES) {
    text += path.front() == '/' ? ""
                                : " (a relative path is looked up where the program was started, PATH for a "
                                  "name without a slash)";
  }
  return text;
}

}  // namespace

void Handle::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

ChildProcess::ChildProcess(const std::vector<std::string>& argv) {
  const std::string path = path_of(argv.front());
  std::vector<char*> arguments;
  for (const auto& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  Pipe in = make_pipe(), out = make_pipe(), err = make_pipe(), report = make_pipe();
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) fail("fork");
  if (pid_ == 0) {
    become(path.c_str(), arguments.data(), {in.read.get(), out.write.get(), err.write.get(), report.write.get()},
           parent);
  }
  ::setpgid(pid_, pid_);  // the parent does it too, so that the group exists before anybody kills it
  report.write.close();
  int error = 0;
  while (::read(report.read.get(), &error, sizeof error) < 0 && errno == EINTR) {
  }
  if (error != 0) {
    kill();
    throw base::Error(explanation(path, error));
  }
  for (Handle* end : {&in.write, &out.read, &err.read}) never_block(*end);
  in_ = std::move(in.write);
  out_ = std::move(out.read);
  err_ = std::move(err.read);
}

ChildProcess::~ChildProcess() { kill(); }

bool ChildProcess::ends_within(double seconds) const {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (true) {
    // WNOWAIT leaves the ended process in the process table, so that its number, which
    // names the group, is not used again.
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0)
      return true;
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

std::string ChildProcess::kill() {
  if (pid_ < 0) return "";
  const bool ended = ends_within(0.0);
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
  if (!ended) return "still ran";
  if (WIFSIGNALED(status))
    return base::concat("was ended by signal ", WTERMSIG(status), " (", ::strsignal(WTERMSIG(status)), ")");
  return base::concat("ended with exit code ", WEXITSTATUS(status));
}

}  // namespace grpo::reward
