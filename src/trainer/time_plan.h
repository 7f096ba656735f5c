#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>
#include <string>

#include "grpo/models/model_config.h"
#include "grpo/trainer/train_config.h"
#include "trainer/memory_plan.h"

namespace grpo::trainer {

/// How fast a device multiplies and reads, and what it sends to others.
struct DeviceRates {
  double flops = 0.0;          // a second, of large matrix products
  double bytes = 0.0;          // read from memory a second
  double inside_host = 0.0;    // sent to ranks of the same host, bytes a second
  double between_hosts = 0.0;  // to others
  int64_t ranks_per_host = 8;
  std::string source;  // where the numbers come from, in words
};

/// The rates of this machine. Products and reads are measured, in about a quarter of a second; what ranks send each
/// other is assumed.
DeviceRates measure_cpu(at::ScalarType dtype);

/// The rates of a GPU. They are assumed, because the planned GPU need not be in this machine.
DeviceRates assumed_gpu();

/// The seconds and bytes of one step in which every completion reaches max_new_tokens, for the rank that has most to
/// do. n: parameters, b: bytes of one, S: sequences decoded together, P: ranks.
/// - rollout: ceil(Q / P) prompts. Each decode step reads the weights (n b) and the keys and values of S sequences at
/// half their length, and multiplies 2 n S; each prompt costs 2 n a token.
/// - update: ceil(Q G / P) rollouts. 6 n a token, and 2 n more where a pass computes old log-probs or the reference's.
/// - communication: the bytes of docs/distributed.md over the slowest link, after the backward pass and not beside it.
/// The rest of attention, sampling and everything that is not a matrix product is left out: the plan is an order of
/// magnitude, not a promise.
struct TimePlan {
  double rollout_s = 0.0;
  double update_s = 0.0;
  double communication_s = 0.0;
  double rollout_bytes = 0.0;  // what one rank sends in a step to share the rollouts
  double update_bytes = 0.0;   // what it sends to reduce gradients and gather weights
  int64_t micro_batches = 0;   // of an update, on the rank that has most; 0 with one rank
  int64_t idle_ranks = 0;      // ranks that have no prompt to sample
  std::string limit;           // the largest part of the step, what it waits for, and what would help
  double step_s() const { return rollout_s + update_s + communication_s; }
};

TimePlan plan_time(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes,
                   const PlanTarget& target, const DeviceRates& rates);

/// The median time of a step in an earlier run of this name that took as many rollouts a step; nothing when there is
/// none.
std::optional<double> measured_step_seconds(const TrainConfig& config);

}  // namespace grpo::trainer
