#include <array>
#include <cstdlib>

#include "dist/single.h"
#include "grpo/base/error.h"

namespace grpo::dist {
namespace {

// What launchers set for each rank: torchrun, Open MPI, Slurm's srun.
constexpr std::array<const char*, 3> kWorldSizes = {"WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS"};

void refuse_several_ranks() {
  for (const char* variable : kWorldSizes) {
    const char* value = std::getenv(variable);
    if (value == nullptr || std::strtoll(value, nullptr, 10) <= 1) continue;
    throw base::ConfigError(base::concat(
        "distributed.backend: ", variable, "=", value, " asks for several ranks, but this build ",
        "has one process only; start one, or set distributed.backend=single to let each train ", "a model of its own"));
  }
}

void check_backend(Backend backend) {
  if (backend == Backend::kAuto) refuse_several_ranks();
  if (backend == Backend::kAuto || backend == Backend::kSingle) return;
  throw base::ConfigError(base::concat("distributed.backend: ", enum_names(backend).at(static_cast<size_t>(backend)),
                                       " is not in this build; use auto or single"));
}

void check_sharding(Sharding sharding) {
  if (sharding == Sharding::kAuto || sharding == Sharding::kNone) return;
  throw base::ConfigError(base::concat("distributed.sharding: ", enum_names(sharding).at(static_cast<size_t>(sharding)),
                                       " is not in this build, there is one process to shard over; use auto or none"));
}

}  // namespace

std::vector<std::string> enum_names(Backend) { return {"auto", "single", "gloo", "nccl"}; }
std::vector<std::string> enum_names(Sharding) { return {"auto", "none", "zero1", "zero3"}; }

std::unique_ptr<Communicator> make_communicator(const DistributedConfig& config) {
  check_backend(config.backend);
  check_sharding(config.sharding);
  return std::make_unique<SingleCommunicator>();
}

}  // namespace grpo::dist
