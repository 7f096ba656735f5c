#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "grpo/base/error.h"
#include "grpo/metrics/prometheus.h"
#include "metrics/http_endpoint.h"

namespace grpo::metrics {

struct PrometheusEndpoint::State {
  std::string run;
  prometheus::Registry registry;
  std::unique_ptr<HttpEndpoint> endpoint;  // declared last, so that it stops before the registry that it serves is gone

  void set(const std::string& metric, double value) {
    auto& family =
        prometheus::BuildGauge().Name(prometheus_name(metric)).Help(metric + " of metrics.jsonl").Register(registry);
    family.Add({{"run", run}}).Set(value);
  }
};

PrometheusEndpoint::PrometheusEndpoint(const std::string& address, const std::string& run)
    : state_(std::make_unique<State>()) {
  state_->run = run;
  state_->endpoint = std::make_unique<HttpEndpoint>(
      address, [this] { return prometheus::TextSerializer().Serialize(state_->registry.Collect()); });
}

PrometheusEndpoint::~PrometheusEndpoint() = default;

void PrometheusEndpoint::set(int64_t step, const MetricsLine& line) {
  state_->set("step", static_cast<double>(step));
  for (const auto& [name, value] : line.values()) state_->set(name, value);
}

}  // namespace grpo::metrics
