#include "dist/drill.h"
#include "dist/process_group.h"
#include "dist/single.h"
#include "grpo/base/error.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {
namespace {

void check_backend(Backend backend) {
  if (backend != Backend::kNccl) return;
  throw base::ConfigError(
      "distributed.backend: nccl is not in this build, it comes with the CUDA build; use auto or gloo");
}

void check_sharding(Sharding sharding) {
  if (sharding != Sharding::kZero3) return;
  throw base::ConfigError("distributed.sharding: zero3 is not in this build; zero2 splits masters, moments and gradient sums");
}

}  // namespace

std::vector<std::string> enum_names(Backend) { return {"auto", "single", "gloo", "nccl"}; }
std::vector<std::string> enum_names(StealPrompts) { return {"auto", "always", "never"}; }
std::vector<std::string> enum_names(Sharding) { return {"auto", "none", "zero1", "zero2", "zero3"}; }

std::unique_ptr<Communicator> make_communicator(const DistributedConfig& config) {
  check_backend(config.backend);
  check_sharding(config.sharding);
  const auto environment = process_environment();
  if (config.backend == Backend::kSingle) return std::make_unique<SingleCommunicator>(drill_from(environment, 1));
  const Ranks ranks = ranks_from(environment);
  const auto drill = drill_from(environment, ranks.size);
  if (ranks.size == 1) return std::make_unique<SingleCommunicator>(drill);  // no store, no threads
  return join_process_group(ranks, config);
}

}  // namespace grpo::dist
