#include "trainer/run_folder.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/base/log.h"
#include "grpo/checkpoint/run_state.h"
#include "grpo/config/config.h"
#include "grpo/io/file.h"
#include "grpo/io/json.h"
#include "grpo/metrics/metrics_file.h"
#include "grpo/metrics/tensorboard.h"

namespace grpo::trainer {
namespace fs = std::filesystem;
namespace {

void set_aside(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  for (int i = 1;; ++i) {
    const fs::path other = folder.string() + "." + std::to_string(i);
    if (fs::exists(other)) continue;
    fs::rename(folder, other);
    base::log_info("renamed the earlier run to " + other.string());
    return;
  }
}

// Removes what a run wrote after the checkpoint it continues from.
void cut_back(const fs::path& folder, int64_t last_step) {
  metrics::cut_back(folder / "metrics.jsonl", last_step);
  metrics::cut_back_events(folder / "events", last_step);
  for (const char* sub : {"rollouts", "eval"}) {
    if (!fs::is_directory(folder / sub)) continue;
    std::vector<fs::path> later;
    for (const auto& entry : fs::directory_iterator(folder / sub)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind("step_", 0) == 0 && name.size() >= 13 && std::stoll(name.substr(5, 8)) > last_step) {
        later.push_back(entry.path());
      }
    }
    for (const auto& path : later) fs::remove(path);
  }
  checkpoint::Store(folder / "checkpoints").remove_leftovers(last_step);
}

Start start_from(const fs::path& folder, const fs::path& checkpoint) {
  checkpoint::verify(checkpoint);
  const bool own = fs::weakly_canonical(checkpoint.parent_path().parent_path()) == fs::weakly_canonical(folder);
  if (!own && fs::exists(folder / "metrics.jsonl")) {
    throw base::ConfigError(base::concat("--resume ", checkpoint.string(), ": the run folder ", folder.string(),
                                         " already holds another run; choose another run.name"));
  }
  if (own) cut_back(folder, step_of_checkpoint(checkpoint));
  return {.folder = folder, .checkpoint = checkpoint};
}

// What a start without any checkpoint leaves of an earlier, interrupted one.
void clear(const fs::path& folder) {
  for (const char* name : {"metrics.jsonl", "rollouts", "eval", "events", "checkpoints"}) fs::remove_all(folder / name);
}

}  // namespace

int64_t step_of_checkpoint(const fs::path& checkpoint) {
  return checkpoint::read_state_json(checkpoint).at("step").get<int64_t>();
}

Start prepare_run_folder(const RunConfig& run, const std::string& resume) {
  const fs::path folder = fs::path(run.output) / run.name;
  if (resume == "never") {
    set_aside(folder);
    return {.folder = folder, .checkpoint = std::nullopt};
  }
  if (resume != "auto") {
    if (!fs::is_directory(resume)) {
      throw base::ConfigError("--resume " + resume + ": no such folder; expected auto, never, or a checkpoint folder "
                                                     "such as runs/NAME/checkpoints/step_00000050");
    }
    return start_from(folder, fs::path(resume));
  }
  const checkpoint::Store store(folder / "checkpoints");
  const auto steps = store.steps();
  if (!steps.empty()) return start_from(folder, store.path_of(steps.back()));
  clear(folder);
  return {.folder = folder, .checkpoint = std::nullopt};
}

namespace {

// One folder for all hosts, or each would write a run of its own and none a whole one.
void check_shared_folder(const fs::path& folder, dist::Communicator& communicator) {
  const fs::path token = folder / ".one-folder";
  const bool first = communicator.rank() == 0;
  const std::string written = base::concat(getpid(), "-", std::chrono::steady_clock::now().time_since_epoch().count());
  if (first) io::write_file_atomic(token, written);
  const std::string expected = communicator.all_gather_bytes(first ? written : "")[0];
  if (!first && (!fs::exists(token) || io::read_file(token) != expected)) {
    throw base::ConfigError(base::concat("run.output ", folder.parent_path().string(), " on rank ", communicator.rank(),
                                         " is not the folder that rank 0 sees; name one that all hosts share"));
  }
  communicator.barrier("the run folder");
  if (first) fs::remove(token);
}

}  // namespace

Start prepare_run_folder(const RunConfig& run, const std::string& resume, dist::Communicator& communicator) {
  communicator.enter_phase("the run folder");
  Start start;
  if (communicator.rank() == 0) {
    start = prepare_run_folder(run, resume);
    fs::create_directories(start.folder);
  }
  if (communicator.size() == 1) return start;
  const std::string checkpoint = communicator.all_gather_bytes(start.checkpoint ? start.checkpoint->string() : "")[0];
  start.folder = fs::path(run.output) / run.name;
  if (!checkpoint.empty()) start.checkpoint = checkpoint;
  check_shared_folder(start.folder, communicator);
  if (communicator.rank() > 0) {
    char name[32];
    std::snprintf(name, sizeof name, "rank_%05lld.log", static_cast<long long>(communicator.rank()));
    fs::create_directories(start.folder / "logs");
    base::log_to_file(start.folder / "logs" / name);
  }
  return start;
}

fs::path rollouts_path(const fs::path& folder, int64_t step) {
  return folder / "rollouts" / (checkpoint::step_name(step) + ".jsonl");
}

fs::path eval_path(const fs::path& folder, int64_t step, const std::string& set) {
  return folder / "eval" / (checkpoint::step_name(step) + "_" + set + ".jsonl");
}

void write_run_json(const fs::path& folder, const TrainConfig& config, std::optional<int64_t> resumed_from) {
  const fs::path path = folder / "run.json";
  nlohmann::json run = nlohmann::json::object();
  if (fs::exists(path)) run = io::read_json(path);
  utsname machine{};
  uname(&machine);
  run["name"] = config.run.name;
  run["seed"] = config.run.seed;
  run["version"] = GRPO_VERSION;
  run["commit"] = GRPO_COMMIT;
  run["libtorch"] = GRPO_LIBTORCH_VERSION;
  nlohmann::json start = {{"time", static_cast<int64_t>(std::time(nullptr))},
                          {"host", machine.nodename},
                          {"kernel", machine.release},
                          {"machine", machine.machine},
                          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
                          {"pid", getpid()},
                          {"from_step", resumed_from ? nlohmann::json(*resumed_from) : nlohmann::json(nullptr)}};
  run["starts"].push_back(start);
  io::write_json(path, run);
}

}  // namespace grpo::trainer
