#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <string>

#include "grpo/models/model_config.h"
#include "grpo/trainer/train_config.h"
#include "trainer/memory_plan.h"

namespace grpo::trainer {

/// How fast a device multiplies, reads its memory, and sends to others.
struct DeviceRates {
  double flops = 0.0;          // operations a second in large matrix products
  double bytes = 0.0;          // bytes a second that it reads from its memory
  double inside_host = 0.0;    // bytes a second that a rank sends to ranks of its host
  double between_hosts = 0.0;  // bytes a second that a rank sends to ranks of other hosts
  int64_t ranks_per_host = 8;
  std::string source;  // says where the numbers come from
};

/// The rates of this machine. Products and reads are measured, which takes about a quarter of a second; how fast ranks
/// send to each other is assumed.
DeviceRates measure_cpu(at::ScalarType dtype);

/// The rates of a GPU. They are assumed, because the GPU of the plan need not be in this machine.
DeviceRates assumed_gpu();

/// The seconds and bytes of one step in which every prompt and completion has its full length, for the rank that has
/// most to do. n is the number of parameters, b the bytes of one, S the sequences decoded together, P the ranks.
/// - rollout: ceil(Q / P) prompts. A decode step reads the weights (n b) and the keys and values of S sequences, on
/// average the prompt and half of the completion, and does 2 n S operations; the longer of the two times counts. Each
/// prompt costs 2 n operations a token.
/// - update: ceil(Q G / P) rollouts. A token costs 6 n operations in each epoch (less where weights are frozen, 12 n
/// with a critic), and 2 n for each pass that computes old log-probs, those of the reference, or a critic's values.
/// - communication: the bytes of docs/distributed.md over the slowest link, after the backward pass and not beside it.
/// Attention apart from reading its cache, sampling, and everything else that is not a matrix product are left out: the
/// plan is an order of magnitude, not a promise.
struct TimePlan {
  double rollout_s = 0.0;
  double update_s = 0.0;
  double communication_s = 0.0;
  double rollout_bytes = 0.0;  // what one rank sends in a step to share the rollouts
  double update_bytes = 0.0;   // what one rank sends in a step to reduce gradients and gather weights
  int64_t micro_batches = 0;   // of one update, on the rank that has most; 0 with one rank
  int64_t idle_ranks = 0;      // ranks that have no prompt to sample
  std::string limit;           // the largest part of the step, what it waits for, and what would help
  double step_s() const { return rollout_s + update_s + communication_s; }
};

/// dtype_bytes: of the working weights.
TimePlan plan_time(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes,
                   const PlanTarget& target, const DeviceRates& rates);

/// The mean time, in seconds, of the steps of an earlier run of this name that had as many rollouts as a step of this
/// configuration can have; nullopt if there are none. A mean, since it is multiplied by the number of steps, few of
/// which evaluate or save. A malformed line ends the reading, as the last one of a run that is writing it.
std::optional<double> measured_step_seconds(const TrainConfig& config);

}  // namespace grpo::trainer
