#include "dist/process_group.h"

#include <algorithm>
#include <chrono>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <utility>

#include "dist/c10d_communicator.h"
#include "dist/current_watch.h"
#include "dist/gloo_group.h"
#include "dist/nccl_library.h"
#include "dist/run_store.h"
#include "dist/watch.h"
#include "grpo/base/cores.h"
#include "grpo/base/error.h"
#include "grpo/base/log.h"

namespace grpo::dist {
namespace {

// How much later NCCL's own time limit comes than ours, so that our message, which says more, comes first.
constexpr std::chrono::seconds kBeforeNccl{60};

std::string device_key(int64_t rank) { return "device/" + std::to_string(rank); }

// Whether every rank has NCCL and a CUDA device of its own. All ranks read the same values, so all get the same answer.
bool can_use_nccl(KeyValue& store, const Ranks& ranks, Backend backend) {
  if (backend == Backend::kGloo) return false;
  std::vector<std::string> keys;
  for (int64_t r = 0; r < ranks.size; ++r) keys.push_back(device_key(r));
  const auto problems = store.get(keys);
  const auto first =
      std::find_if(problems.begin(), problems.end(), [](const std::string& problem) { return !problem.empty(); });
  if (first == problems.end()) return true;
  const std::string which = base::concat("rank ", first - problems.begin(), ": ", *first);
  if (backend == Backend::kNccl) throw base::ConfigError("distributed.backend: nccl: " + which + "; use auto or gloo");
  if (ranks.rank == 0 && problems[0] != kNoDevices)
    base::log_warning("distributed.backend: no NCCL, tensors on GPUs go through the CPU: " + which);
  return false;
}

}  // namespace

std::unique_ptr<Communicator> join_process_group(const Ranks& ranks, const DistributedConfig& config) {
  const std::chrono::seconds timeout(config.timeout_s);
  const StorePointer store = connect_store(ranks, ranks.hosts_store, timeout);
  auto values = values_of(store);
  if (ranks.rank == 0) Watch::prepare(*values);
  if (config.backend != Backend::kGloo) values->set(device_key(ranks.rank), nccl_problem(ranks.local_rank));
  Watch::announce(*values, ranks.rank, base::host_name());
  wait_for_all(*store, ranks, timeout);
  const bool devices_can_meet = can_use_nccl(*values, ranks, config.backend);
  WatchOptions options{
      .rank = ranks.rank, .size = ranks.size, .hosts_store = ranks.hosts_store, .host = base::host_name()};
  options.drill = drill_from(process_environment(), ranks.size);
  if (!ranks.attempt.empty())
    options.other_store = base::concat("the store of torchrun's agent at ", ranks.host, ":", ranks.port);
  auto watch =
      std::make_shared<Watch>(options, values_of(connect_store(ranks, false, timeout)), std::move(values), end_process);
  watch->start();
  set_current_watch(watch);
  auto group = connect_gloo(ranks, store, timeout);
  c10::intrusive_ptr<c10d::Backend> device_group;
  if (devices_can_meet) {
    // NCCL's longer limit lets the WorkMinder name the missing rank before NCCL's own watchdog ends the process.
    device_group = make_nccl_group(c10::make_intrusive<c10d::PrefixStore>("nccl", store), ranks.rank, ranks.size,
                                   timeout + kBeforeNccl);
  }
  return make_c10d_communicator(ranks, config.timeout_s, std::move(watch), std::move(group), std::move(device_group));
}

}  // namespace grpo::dist
