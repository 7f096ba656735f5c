#include "grpo/base/error.h"
#include "grpo/metrics/prometheus.h"

namespace grpo::metrics {

struct PrometheusEndpoint::State {};

PrometheusEndpoint::PrometheusEndpoint(const std::string& address, const std::string&) {
  throw base::ConfigError(
      "logging.prometheus " + address +
      ": this build has no Prometheus endpoint; install prometheus-cpp-dev and libmicrohttpd-dev and build "
      "again, or leave the key empty");
}

PrometheusEndpoint::~PrometheusEndpoint() = default;

void PrometheusEndpoint::set(int64_t, const MetricsLine&) {}

}  // namespace grpo::metrics
