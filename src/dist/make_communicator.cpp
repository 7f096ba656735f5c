#include "dist/drill.h"
#include "dist/nccl_library.h"
#include "dist/process_group.h"
#include "dist/single.h"
#include "grpo/base/error.h"
#include "grpo/dist/launch.h"

namespace grpo::dist {
namespace {

void check_nccl(int64_t device) {
  const std::string problem = nccl_problem(device);
  if (!problem.empty()) throw base::ConfigError("distributed.backend: nccl: " + problem + "; use auto or gloo");
}

}  // namespace

std::vector<std::string> enum_names(Backend) { return {"auto", "single", "gloo", "nccl"}; }
std::vector<std::string> enum_names(StealPrompts) { return {"auto", "never"}; }
std::vector<std::string> enum_names(ShardingChoice) { return {"auto", "none", "zero1", "zero2", "zero3"}; }
std::vector<std::string> enum_names(ReduceDtype) { return {"float32", "bfloat16"}; }

std::unique_ptr<Communicator> make_communicator(const DistributedConfig& config) {
  const auto environment = process_environment();
  if (config.backend == Backend::kSingle) return std::make_unique<SingleCommunicator>(drill_from(environment, 1));
  const Ranks ranks = ranks_from(environment);
  const auto drill = drill_from(environment, ranks.size);
  if (config.backend == Backend::kNccl) check_nccl(ranks.local_rank);
  if (ranks.size == 1) return std::make_unique<SingleCommunicator>(drill);  // it needs no store and no threads
  return join_process_group(ranks, config);
}

}  // namespace grpo::dist
