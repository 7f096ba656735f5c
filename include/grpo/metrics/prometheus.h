#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "grpo/metrics/metrics_file.h"

namespace grpo::metrics {

/// The Prometheus name of a metric: reward/mean becomes grpo_reward_mean. Every character that is not a
/// letter, a digit or "_" becomes "_".
std::string prometheus_name(const std::string& metric);

/// Serves the newest value of every metric at http://<address>/metrics, as gauges with the label run="<run>".
class PrometheusEndpoint {
 public:
  /// address: port or host:port, as in 127.0.0.1:9400; the host defaults to 127.0.0.1. Throws
  /// base::ConfigError when nothing can listen there, or when this build lacks the libraries. No request,
  /// however slow, large or broken, disturbs the run.
  PrometheusEndpoint(const std::string& address, const std::string& run);
  ~PrometheusEndpoint();
  void set(int64_t step, const MetricsLine& line);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grpo::metrics
