#include <algorithm>
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/exit_code.h"
#include "grpo/base/error.h"
#include "grpo/dist/communicator.h"

namespace {

constexpr const char* kVersion = GRPO_VERSION;

// `grpo-train ...` is `grpo train ...`.
std::vector<std::string> arguments(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  if (std::filesystem::path(argv[0]).filename() == "grpo-train") args.insert(args.begin(), "train");
  return args;
}

int run(std::vector<std::string> args) {
  CLI::App app{"Fine-tunes language models with reinforcement learning on problems whose answers can be checked.", "grpo"};
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
  std::reverse(args.begin(), args.end());  // CLI11 takes them last first
  try {
    app.parse(args);
  } catch (const CLI::Success& request) {  // --help, --version
    return app.exit(request);
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    return grpo::app::kWrongUsage;
  }
  return grpo::app::last_exit_code();
}

// The other ranks first: they end with the same code, and what went wrong is known before this process is gone.
int fail(const std::exception& error, int exit_code) {
  grpo::dist::report_failure(error.what(), exit_code);
  std::fprintf(stderr, "error: %s\n", error.what());
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(arguments(argc, argv));
  } catch (const grpo::base::ConfigError& error) {
    return fail(error, grpo::app::kWrongUsage);
  } catch (const std::exception& error) {
    return fail(error, grpo::app::kFailed);
  }
}
