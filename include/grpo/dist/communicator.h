#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grpo/base/fields.h"

namespace grpo::dist {

enum class Backend { kAuto, kSingle, kGloo, kNccl };
std::vector<std::string> enum_names(Backend);

/// What is split over the ranks beside the prompts: nothing; the optimizer's state; also gradient sums; also weights.
enum class ShardingChoice { kAuto, kNone, kZero1, kZero2, kZero3 };
std::vector<std::string> enum_names(ShardingChoice);

enum class StealPrompts { kAuto, kNever };
std::vector<std::string> enum_names(StealPrompts);
/// What gradients are rounded to where they cross the ranks.
enum class ReduceDtype { kFloat32, kBfloat16 };
std::vector<std::string> enum_names(ReduceDtype);

struct DistributedConfig {
  Backend backend = Backend::kAuto;
  ShardingChoice sharding = ShardingChoice::kAuto;
  ReduceDtype reduce_dtype = ReduceDtype::kFloat32;
  int64_t timeout_s = 1800;
  StealPrompts steal_prompts = StealPrompts::kAuto;
  GRPO_FIELDS(f) {
    f("backend", backend,
      "between the ranks that a launcher started: auto (gloo; nccl for tensors on GPUs, where every rank has its own), "
      "gloo, nccl; single: each process trains its own");
    f("sharding", sharding,
      "what ranks split: none; zero1: masters and moments; zero2: gradient sums too; zero3: the layers' weights too; "
      "auto: the first of zero1, zero2, zero3 that fits");
    f("reduce_dtype", reduce_dtype,
      "what gradients cross the ranks in: float32, or bfloat16 (half the bytes; each rank's part is rounded once)");
    f("timeout_s", timeout_s, "longest wait for another rank", base::at_least(1));
    f("steal_prompts", steal_prompts,
      "whether a rank that finishes its prompts early takes from the others'; auto: with rollout.exact, where "
      "completions "
      "do not depend on who samples them");
  }
};

/// A collective that is under way.
class Pending {
 public:
  virtual ~Pending() = default;
  /// Returns when this rank's result is in place (on CUDA: for what the calling thread launches from then on). Throws
  /// as the collective itself would. Further calls return at once.
  virtual void wait() = 0;
};

/// The ranks of one run. Everything that crosses ranks goes through here, so the trainer reads the same for one process
/// and for many: a backend is one more implementation and one more row in make_communicator.
///
/// Collectives: every rank makes the same calls in the same order, with tensors of the same shape, dtype and device
/// type; a call returns when this rank's result is in place. Tensors are changed in place, without gradient. A sum has
/// the same bits on every rank. A rank that waits longer than DistributedConfig::timeout_s throws base::DistError
/// naming the operation, its number and the ranks that have not come. One thread per rank calls at a time. Dtypes:
/// fp32, fp64, fp16, bf16, int8, uint8, int32, int64.
///
/// start_...() return at once, so that several collectives, and other work, go on together; they count in the order in
/// which they start. Until wait() inputs must not be written and outputs not be touched.
///
/// With several ranks each process is watched (docs/distributed.md): when another rank fails, dies or hangs, this
/// process prints one line that says so and ends, whatever its threads are doing.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int64_t rank() const = 0;  // 0 ... size() - 1
  virtual int64_t size() const = 0;
  virtual int64_t local_rank() const = 0;  // among the ranks of this host; 0 where the launcher does not say

  virtual std::unique_ptr<Pending> start_all_reduce_sum(const at::Tensor& tensor) = 0;
  void all_reduce_sum(const at::Tensor& tensor) { start_all_reduce_sum(tensor)->wait(); }
  virtual void all_reduce_max(at::Tensor& tensor) = 0;
  virtual void broadcast(at::Tensor& tensor, int64_t root) = 0;

  /// Returns when every rank has come here. name: says in an error what was waited for.
  virtual void barrier(const std::string& name) = 0;

  /// Like a barrier, and returns the sum of every rank's value; but ranks wait in the store, not inside a collective,
  /// for work whose length nobody knows. The same timeout and message. meanwhile: called about once a second.
  virtual int64_t meet(const std::string& name, int64_t value, const std::function<void()>& meanwhile = {}) = 0;

  /// Adds to a number that the ranks share, 0 at first, and returns what it is then: at once, whatever the others do.
  /// Not a collective. name: of its own in the run, as "step 12, prompts".
  virtual int64_t add_shared(const std::string& name, int64_t amount) = 0;

  /// Every rank's values, by rank; their number may differ. For counts and small facts.
  virtual std::vector<std::vector<double>> all_gather(const std::vector<double>& values) = 0;

  /// Every rank's bytes, by rank; their number may differ.
  virtual std::vector<std::string> all_gather_bytes(const std::string& bytes) = 0;

  /// output: the sum over ranks of this rank's part of input, which is parts of output.numel() elements, by rank.
  /// bf16 and fp16 are added up in fp32 and rounded once; not at all into an fp32 output.
  /// REQUIRES: input.numel() == size() * output.numel(); one dtype, or a 16-bit input and an fp32 output.
  virtual std::unique_ptr<Pending> start_reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) = 0;
  void reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) {
    start_reduce_scatter_sum(output, input)->wait();
  }

  /// output: every rank's input, by rank. REQUIRES: output.numel() == size() * input.numel(), one dtype.
  virtual std::unique_ptr<Pending> start_all_gather_into(const at::Tensor& output, const at::Tensor& input) = 0;
  void all_gather_into(const at::Tensor& output, const at::Tensor& input) {
    start_all_gather_into(output, input)->wait();
  }

  /// What this rank does from now on, e.g. "step 12, rollout": other ranks' messages say it of this one. Costs nothing.
  /// A failure that GRPO_DRILL rehearses (docs/distributed.md) happens here.
  virtual void enter_phase(const std::string& phase) = 0;

  /// Tells the other ranks, which then end with `exit_code`, why this one is about to. The first report of a run
  /// counts. Call it where the error is caught: it may wait up to 3 s until the others have read it.
  virtual void report_failure(const std::string& message, int exit_code = 1) = 0;

  /// Payload bytes this rank has put on the wire, by the formula of each collective's algorithm (docs/distributed.md).
  virtual int64_t bytes_sent() const = 0;
};

/// The ranks that `config` and the launcher's environment (launch.h) describe; waits until all have come. Throws
/// base::ConfigError for a backend that is not in this build and for an environment that contradicts
/// itself, base::DistError when a rank does not come within timeout_s. One at a time in a process.
std::unique_ptr<Communicator> make_communicator(const DistributedConfig& config);

/// Communicator::report_failure of this process's communicator, also after an exception has destroyed it; nothing if it
/// had none or ended in order. For the place that turns errors into exit codes.
void report_failure(const std::string& message, int exit_code);

}  // namespace grpo::dist
