#include <gmock/gmock.h>

#include "grpo/base/error.h"
#include "grpo/metrics/prometheus.h"

namespace grpo::metrics {
namespace {

TEST(PrometheusEndpoint, SaysThatThisBuildHasNone) {
  try {
    const PrometheusEndpoint endpoint("127.0.0.1:9400", "two");
    FAIL() << "no error";
  } catch (const base::ConfigError& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("no Prometheus endpoint; install prometheus-cpp-dev and libmicrohttpd-dev"));
  }
}

}  // namespace
}  // namespace grpo::metrics
