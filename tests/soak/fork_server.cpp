// With GRPO_FORK_SERVER a program stops before its main() and makes copies of itself on request: LibTorch is then
// loaded once for thousands of trials. A request is a line on standard input of fields with tabs between: the file for
// the copy's stderr, NAME=VALUE environment variables, "--" and the arguments. The answer is the copy's wait status, a
// line on standard output. A copy ends without the destructors of LibTorch's global tables, which would take as long as
// the run.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "fault.h"

namespace {

using Main = int (*)(int, char**, char**);
using Function = void (*)();
using Start = int (*)(Main, int, char**, Function, Function, Function, void*);

std::vector<char*> fields_of(char* line) {
  std::vector<char*> fields;
  for (char* field = std::strtok(line, "\t\n"); field != nullptr; field = std::strtok(nullptr, "\t\n"))
    fields.push_back(field);
  return fields;
}

void redirect(int descriptor, const char* path, int flags) {
  const int file = ::open(path, flags, 0644);
  ::dup2(file, descriptor);
  ::close(file);
}

// In the copy: its descriptors and environment; returns its arguments.
std::vector<char*> become(const std::vector<char*>& fields, char* program) {
  redirect(STDIN_FILENO, "/dev/null", O_RDONLY);
  redirect(STDOUT_FILENO, "/dev/null", O_WRONLY);
  redirect(STDERR_FILENO, fields.at(0), O_WRONLY | O_CREAT | O_TRUNC);
  ::unsetenv("GRPO_FORK_SERVER");
  size_t i = 1;
  for (; std::strcmp(fields.at(i), "--") != 0; ++i) ::putenv(fields[i]);
  std::vector<char*> arguments = {program};
  arguments.insert(arguments.end(), fields.begin() + static_cast<long>(i) + 1, fields.end());
  arguments.push_back(nullptr);
  return arguments;
}

Main program_main = nullptr;

int end_after_main(int count, char** arguments, char** variables) {
  const int code = program_main(count, arguments, variables);
  std::fflush(nullptr);
  write_number_of_calls();
  ::_exit(code);
}

}  // namespace

extern "C" int __libc_start_main(Main main, int count, char** arguments, Function init, Function fini,
                                 Function rtld_fini, void* stack_end) {
  const auto start = reinterpret_cast<Start>(dlsym(RTLD_NEXT, "__libc_start_main"));
  if (std::getenv("GRPO_FORK_SERVER") == nullptr)
    return start(main, count, arguments, init, fini, rtld_fini, stack_end);
  static char line[1 << 16];
  while (std::fgets(line, sizeof line, stdin) != nullptr) {
    const pid_t copy = ::fork();
    if (copy == 0) {
      static std::vector<char*> its = become(fields_of(line), arguments[0]);
      program_main = main;
      return start(end_after_main, static_cast<int>(its.size()) - 1, its.data(), init, fini, rtld_fini, stack_end);
    }
    int status = 0;
    ::waitpid(copy, &status, 0);
    std::printf("%d\n", status);
    std::fflush(stdout);
  }
  ::_exit(0);
}
