#pragma once

#include <optional>
#include <string>

#include <c10/core/ScalarType.h>

#include "grpo/models/model_config.h"
#include "grpo/trainer/train_config.h"
#include "trainer/memory_plan.h"

namespace grpo::trainer {

/// How fast a device multiplies and reads.
struct DeviceRates {
  double flops = 0.0;    // a second, of large matrix products
  double bytes = 0.0;    // read from memory a second
  std::string source;    // where the numbers come from, in words
  bool cuda = false;
};

/// Measured here in about a quarter of a second.
DeviceRates measure_cpu(at::ScalarType dtype);

/// Assumed: the planned GPU need not be in this machine.
DeviceRates assumed_gpu();

/// Seconds of one step if every completion reaches max_new_tokens. n: parameters, b: bytes of one, S: sequences decoded together.
///   rollout: each decode step reads the weights (n b) and multiplies 2 n S; each prompt costs 2 n a token
///   update:  6 n a token, 2 n more where a pass computes old log-probs or the reference's
/// Attention, sampling and everything that is not a matrix product is left out: an order of magnitude, not a promise.
struct TimePlan {
  double rollout_s = 0.0;
  double update_s = 0.0;
  double step_s() const { return rollout_s + update_s; }
};

TimePlan plan_time(const models::ModelConfig& model, const TrainConfig& config, int64_t dtype_bytes, int64_t ranks, const DeviceRates& rates);

/// Median seconds of a step in an earlier run of this name that took as many rollouts a step; nothing when there is none.
std::optional<double> measured_step_seconds(const TrainConfig& config);

/// "12 s", "3.5 min", "2.1 h", "4.0 days"
std::string duration_text(double seconds);

}  // namespace grpo::trainer
