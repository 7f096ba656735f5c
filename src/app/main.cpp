#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <new>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/exit_code.h"
#include "app/local_ranks.h"
#include "grpo/base/error.h"
#include "grpo/base/printable.h"
#include "grpo/dist/communicator.h"

namespace {

constexpr const char* kVersion = GRPO_VERSION;

// A daemon or a cron job may start a program without standard input, output and error. The next opened files would then
// get these numbers, and log lines would land inside checkpoints.
void open_standard_descriptors() {
  for (int number = STDIN_FILENO; number <= STDERR_FILENO; ++number) {
    if (::fcntl(number, F_GETFD) == -1 && ::open("/dev/null", O_RDWR) != number) std::_Exit(grpo::app::kFailed);
  }
}

// `grpo-train ...` means `grpo train ...`, but for `grpo-train --version`. A rank already gets the arguments with
// "train".
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  const bool is_train = argc > 0 && std::filesystem::path(argv[0]).filename() == "grpo-train";
  const bool asks_version = args == std::vector<std::string>{"--version"};
  if (is_train && !asks_version && !grpo::app::is_local_rank()) args.insert(args.begin(), "train");
  return args;
}

// A command whose results a full disk has swallowed has failed. stdout is buffered, so that may show only here.
void check_stdout() {
  const bool failed_before = std::ferror(stdout) != 0;
  errno = 0;
  if (std::fflush(stdout) == 0 && !failed_before) return;
  const int reason = errno;
  throw grpo::base::IoError(grpo::base::concat("stdout: not everything could be written", reason == 0 ? "" : ": ",
                                               reason == 0 ? "" : std::strerror(reason)));
}

int run(std::vector<std::string> args) {
  CLI::App app{"Fine-tunes language models with reinforcement learning on problems whose answers can be checked.",
               "grpo"};
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  grpo::app::add_train(app);
  grpo::app::add_generate(app);
  grpo::app::add_score(app);
  grpo::app::add_verify(app);
  grpo::app::add_tokenize(app);
  grpo::app::add_eval(app);
  grpo::app::add_compare(app);
  grpo::app::add_doctor(app);
  grpo::app::add_checkpoint(app);
  grpo::app::add_data(app);
  grpo::app::add_theory(app);
  grpo::app::add_replay(app);
  std::reverse(args.begin(), args.end());  // CLI11 expects the last argument first
  try {
    app.parse(args);
  } catch (const CLI::Success& request) {  // --help, --version
    app.exit(request);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return grpo::app::kWrongUsage;
  }
  if (grpo::app::last_exit_code() == grpo::app::kDone) check_stdout();
  return grpo::app::last_exit_code();
}

// Tells the other ranks first, so that they know what went wrong before this process is
// gone; they end with the same code.
int fail(const std::exception& error, int exit_code) {
  grpo::dist::report_failure(error.what(), exit_code);
  std::fprintf(stderr, "error: %s\n", grpo::base::printable(error.what()).c_str());
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_descriptors();
  try {
    return run(arguments(argc, argv));
  } catch (const grpo::base::ConfigError& error) {
    return fail(error, grpo::app::kWrongUsage);
  } catch (const std::bad_alloc&) {
    return fail(grpo::base::Error("out of memory; a smaller model, shorter texts or smaller batches need less"),
                grpo::app::kFailed);
  } catch (const std::exception& error) {
    return fail(error, grpo::app::kFailed);
  }
}
