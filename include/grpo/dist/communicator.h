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

/// What ranks divide among them besides the prompts. kNone: nothing; kZero1: the optimizer's state; kZero2: also the
/// gradient sums; kZero3: also the layers' weights.
enum class ShardingChoice { kAuto, kNone, kZero1, kZero2, kZero3 };
std::vector<std::string> enum_names(ShardingChoice);

enum class StealPrompts { kAuto, kNever };
std::vector<std::string> enum_names(StealPrompts);
/// The dtype in which gradients are sent from rank to rank.
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

/// A collective that has started.
class Pending {
 public:
  virtual ~Pending() = default;
  /// Returns when this rank's result is in place (on CUDA: in place for everything that the calling thread launches
  /// later). Throws like the collective itself. Further calls return at once.
  virtual void wait() = 0;
};

/// The ranks of one run. Everything that crosses ranks goes through this class, so the trainer reads the same for one
/// process and for many. A new backend is one more implementation and one more row in make_communicator.
///
/// Collectives: every rank makes the same calls in the same order, with tensors of the same shape, dtype and device
/// type. A call returns when this rank's result is in place. Tensors are changed in place, without gradient. Dtypes:
/// fp32, fp64, fp16, bf16, int8, uint8, int32, int64. Sums have the same bits on every rank. One thread per rank calls
/// at a time. A rank that waits longer than DistributedConfig::timeout_s throws base::DistError naming the operation,
/// its number and the ranks that have not come to it.
///
/// The start_...() functions return at once, so that several collectives and other work go on together.
/// Collectives are matched between ranks in the order in which they start. Until wait(), inputs must not be
/// written and outputs must not be read or written.
///
/// With several ranks each process is watched (docs/distributed.md): when another rank fails, dies or hangs, this
/// process prints one line that says so and ends, whatever its threads are doing.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int64_t rank() const = 0;  // from 0 to size() - 1
  virtual int64_t size() const = 0;
  virtual int64_t local_rank() const = 0;  // as Ranks::local_rank (launch.h)

  virtual std::unique_ptr<Pending> start_all_reduce_sum(const at::Tensor& tensor) = 0;
  void all_reduce_sum(const at::Tensor& tensor) { start_all_reduce_sum(tensor)->wait(); }
  virtual void all_reduce_max(at::Tensor& tensor) = 0;
  virtual void broadcast(at::Tensor& tensor, int64_t root) = 0;

  /// Returns when every rank has called it. `name` says in an error what was waited for.
  virtual void barrier(const std::string& name) = 0;

  /// A barrier that also returns the sum of every rank's `value`. Use it to wait for work of unknown length:
  /// ranks wait in the store and not inside a collective. Timeout and message are those of a barrier. `meanwhile`
  /// is called about once a second.
  virtual int64_t meet(const std::string& name, int64_t value, const std::function<void()>& meanwhile = {}) = 0;

  /// Adds to a number that all ranks share, which begins at 0, and returns the sum. It is not a collective: it returns
  /// at once, whatever other ranks do. `name` must be unique in the run, such as "step 12, prompts".
  virtual int64_t add_shared(const std::string& name, int64_t amount) = 0;

  /// Every rank's values, by rank; ranks may give different numbers of values. For counts and other small data.
  virtual std::vector<std::vector<double>> all_gather(const std::vector<double>& values) = 0;

  /// Every rank's bytes, by rank; ranks may give different numbers of bytes.
  virtual std::vector<std::string> all_gather_bytes(const std::string& bytes) = 0;

  /// `input` consists of size() parts of output.numel() elements. `output` becomes the sum over all ranks of
  /// the part with this rank's number. bf16 and fp16 parts are added up in fp32, and the sum is rounded once,
  /// or not at all if `output` is fp32. REQUIRES: input.numel() == size() * output.numel(); equal dtypes, or a
  /// 16-bit input and an fp32 output.
  virtual std::unique_ptr<Pending> start_reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) = 0;
  void reduce_scatter_sum(const at::Tensor& output, const at::Tensor& input) {
    start_reduce_scatter_sum(output, input)->wait();
  }

  /// `output` becomes every rank's input, by rank. REQUIRES: output.numel() == size() * input.numel(); equal dtypes.
  virtual std::unique_ptr<Pending> start_all_gather_into(const at::Tensor& output, const at::Tensor& input) = 0;
  void all_gather_into(const at::Tensor& output, const at::Tensor& input) {
    start_all_gather_into(output, input)->wait();
  }

  /// Says what this rank does from now on, such as "step 12, rollout"; messages of other ranks about this rank contain
  /// it. It costs next to nothing. A failure that GRPO_DRILL rehearses (docs/distributed.md) happens here.
  virtual void enter_phase(const std::string& phase) = 0;

  /// Tells the other ranks why this rank is about to end; they then end with `exit_code`. Only the first report of a
  /// run counts. Call it where the error is caught. It may wait up to 3 s until the others have read the message.
  virtual void report_failure(const std::string& message, int exit_code = 1) = 0;

  /// Payload bytes that this rank has sent, by the formula of each collective's algorithm (docs/distributed.md).
  virtual int64_t bytes_sent() const = 0;
};

/// Joins the ranks that `config` and the launcher's environment (launch.h) describe, and waits until all have come.
/// Throws base::ConfigError for a backend that is not in this build and for an environment that contradicts itself, and
/// base::DistError when a rank does not come within timeout_s. A process may have one communicator at a time.
std::unique_ptr<Communicator> make_communicator(const DistributedConfig& config);

/// Calls Communicator::report_failure of this process's communicator, even after an exception has destroyed it. Does
/// nothing if there was none or it ended in order. For the place that turns errors into exit codes.
void report_failure(const std::string& message, int exit_code);

}  // namespace grpo::dist
