#include "trainer/fork.h"

#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/checkpoint/store.h"
#include "grpo/io/json_errors.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

fs::path folder_of_run(const RunConfig& run) { return fs::path(run.output) / run.name; }

bool has_checkpoints(const fs::path& folder) { return !checkpoint::Store(folder / "checkpoints").steps().empty(); }

// The checkpoint that the run in this folder was forked from; empty if it is no fork.
std::string forked_from(const fs::path& folder) {
  const fs::path path = folder / "run.json";
  if (!fs::exists(path)) return "";
  const auto run = io::read_json(path);
  if (!run.is_object() || !run.contains("forked_from")) return "";
  return io::with_json_errors(path.string() + ": forked_from",
                              [&] { return run.at("forked_from").at("checkpoint").get<std::string>(); });
}

std::string spelled(const fs::path& checkpoint) { return fs::weakly_canonical(checkpoint).string(); }

}  // namespace

std::string resume_of_fork(const RunConfig& run, const std::string& checkpoint) {
  const fs::path folder = folder_of_run(run);
  const std::string path = spelled(fs::path(checkpoint) / ".");
  if (fs::path(path).parent_path().parent_path() == spelled(folder)) {
    throw base::ConfigError("--fork " + checkpoint +
                            ": is a checkpoint of this run itself; give the new run another run.name");
  }
  return has_checkpoints(folder) && forked_from(folder) == path ? "auto" : path;
}

void check_fork_begun(const RunConfig& run, const std::string& resume) {
  const fs::path folder = folder_of_run(run);
  if (resume != "auto" || has_checkpoints(folder)) return;
  const std::string from = forked_from(folder);
  if (from.empty()) return;
  throw base::ConfigError(
      base::concat(folder.string(), " is a fork of ", from,
                   " that ended before its first checkpoint; remove it and begin it again with --fork ", from));
}

void record_fork(const fs::path& folder, const Fork& fork) {
  const fs::path path = folder / "run.json";
  auto run = io::read_json(path);
  auto changed = nlohmann::json::object();
  for (const auto& [what, was, is] : fork.changes) changed[what] = {was, is};
  run["forked_from"] = {{"checkpoint", spelled(fork.checkpoint)}, {"changed", changed}};
  io::write_json(path, run);
}

}  // namespace grpo::trainer
