#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "grpo/base/error.h"
#include "grpo/metrics/prometheus.h"

namespace grpo::metrics {
namespace {

std::unique_ptr<prometheus::Exposer> listen(const std::string& address) {
  try {
    return std::make_unique<prometheus::Exposer>(address, 1);
  } catch (const std::exception& error) {
    throw base::ConfigError("logging.prometheus " + address + ": cannot listen there (" + error.what() +
                            "); expected host:port with a free port, as 127.0.0.1:9400");
  }
}

}  // namespace

struct PrometheusEndpoint::State {
  std::string run;
  std::shared_ptr<prometheus::Registry> registry = std::make_shared<prometheus::Registry>();
  std::unique_ptr<prometheus::Exposer> exposer;  // last: it stops before what it serves

  void set(const std::string& metric, double value) {
    auto& family = prometheus::BuildGauge().Name(prometheus_name(metric)).Help(metric + " of metrics.jsonl").Register(*registry);
    family.Add({{"run", run}}).Set(value);
  }
};

PrometheusEndpoint::PrometheusEndpoint(const std::string& address, const std::string& run) : state_(std::make_unique<State>()) {
  state_->run = run;
  state_->exposer = listen(address);
  state_->exposer->RegisterCollectable(state_->registry);
}

PrometheusEndpoint::~PrometheusEndpoint() = default;

void PrometheusEndpoint::set(int64_t step, const MetricsLine& line) {
  state_->set("step", static_cast<double>(step));
  for (const auto& [name, value] : line.values()) state_->set(name, value);
}

}  // namespace grpo::metrics
