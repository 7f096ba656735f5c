#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "grpo/base/fields.h"

namespace grpo::dist {

enum class Backend { kAuto, kSingle, kGloo, kNccl };
std::vector<std::string> enum_names(Backend);

/// What is split over the ranks beside the prompts: nothing, the optimizer's state, or also parameters and gradients.
enum class Sharding { kAuto, kNone, kZero1, kZero3 };
std::vector<std::string> enum_names(Sharding);

struct DistributedConfig {
  Backend backend = Backend::kAuto;
  Sharding sharding = Sharding::kAuto;
  int64_t timeout_s = 1800;
  GRPO_FIELDS(f) {
    f("backend", backend, "auto or single (this build has one process; gloo and nccl are refused)");
    f("sharding", sharding, "auto or none (this build has one process; zero1 and zero3 are refused)");
    f("timeout_s", timeout_s, "longest wait for another rank", base::at_least(1));
  }
};

/// The ranks of one run. Everything that crosses ranks goes through here, so the trainer reads the same for one process
/// and for many: a backend is one more implementation and one more row in make_communicator.
///
/// Collectives: every rank makes the same calls in the same order, with tensors of the same shape, dtype and device
/// type; a call returns when this rank's result is in place. Tensors are changed in place, without gradient. A sum has
/// the same bits on every rank. A rank that waits longer than DistributedConfig::timeout_s throws base::DistError
/// naming the operation and its own rank. One thread per rank calls.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int64_t rank() const = 0;  // 0 ... size() - 1
  virtual int64_t size() const = 0;

  virtual void all_reduce_sum(at::Tensor& tensor) = 0;
  virtual void all_reduce_max(at::Tensor& tensor) = 0;
  virtual void broadcast(at::Tensor& tensor, int64_t root) = 0;

  /// Returns when every rank has come here. name: says in an error what was waited for.
  virtual void barrier(const std::string& name) = 0;

  /// Every rank's values, by rank; their number may differ. For counts and small facts.
  virtual std::vector<std::vector<double>> all_gather(const std::vector<double>& values) = 0;
};

/// The ranks that `config` and the launcher's environment describe. Throws base::ConfigError for a backend or sharding
/// that is not in this build, and when a launcher has started several ranks (WORLD_SIZE, OMPI_COMM_WORLD_SIZE,
/// SLURM_STEP_NUM_TASKS) that `auto` could not join: each would train a model of its own.
std::unique_ptr<Communicator> make_communicator(const DistributedConfig& config);

}  // namespace grpo::dist
