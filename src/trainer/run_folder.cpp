#include "trainer/run_folder.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <nlohmann/json.hpp>

#include "grpo/base/error.h"
#include "grpo/checkpoint/store.h"
#include "grpo/config/config.h"
#include "grpo/io/json.h"
#include "grpo_commit.h"  // made by cmake/commit.cmake

namespace grpo::trainer {
namespace fs = std::filesystem;

bool is_run(const fs::path& folder) {
  try {
    const auto run = io::read_json(folder / "run.json");
    return run.is_object() && run.contains("version") && run["version"].is_string() && run.contains("starts") &&
           run["starts"].is_array();
  } catch (const base::IoError&) {
    return false;
  }
}

fs::path rollouts_path(const fs::path& folder, int64_t step) {
  return folder / "rollouts" / (checkpoint::step_name(step) + ".jsonl");
}

fs::path eval_path(const fs::path& folder, int64_t step, const std::string& set) {
  return folder / "eval" / (checkpoint::step_name(step) + "_" + set + ".jsonl");
}

void write_run_json(const fs::path& folder, const TrainConfig& config, std::optional<int64_t> resumed_from) {
  const fs::path path = folder / "run.json";
  nlohmann::json run = is_run(folder) ? io::read_json(path) : nlohmann::json::object();
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
