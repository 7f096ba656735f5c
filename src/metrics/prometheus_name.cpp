#include <cctype>

#include "grpo/metrics/prometheus.h"

namespace grpo::metrics {

std::string prometheus_name(const std::string& metric) {
  std::string name = "grpo_" + metric;
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

}  // namespace grpo::metrics
