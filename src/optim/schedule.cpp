#include "grpo/optim/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "grpo/base/error.h"

namespace grpo::optim {
namespace {

// past: updates since the warm-up; left: updates until the end of the run; length: updates between the two,
// at least 1. After a warm-up that fills the whole run, past and left are 0 and length is 1: linear is then 0
// and cosine 1, as in transformers.
double constant(double, double, double) { return 1.0; }
double linear(double, double left, double length) { return std::max(0.0, left / length); }
double cosine(double past, double, double length) {
  return 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, past / length)));
}

struct Row {
  const char* name;
  double (*shape)(double past, double left, double length);
};

// In the order of the enumerators.
constexpr std::array<Row, 3> kTable = {{{"constant", constant}, {"linear", linear}, {"cosine", cosine}}};

}  // namespace

std::vector<std::string> enum_names(Schedule) {
  std::vector<std::string> names;
  for (const Row& row : kTable) names.emplace_back(row.name);
  return names;
}

double lr_factor(const OptimizerConfig& config, int64_t update_index, int64_t total_updates) {
  GRPO_CHECK(update_index >= 0, "update ", update_index);
  const auto u = static_cast<double>(update_index);
  const auto warmup = static_cast<double>(config.warmup_updates);
  if (u < warmup) return u / warmup;
  const auto total = static_cast<double>(total_updates);
  const double factor =
      kTable.at(static_cast<size_t>(config.schedule)).shape(u - warmup, total - u, std::max(1.0, total - warmup));
  return config.min_lr_ratio + (1.0 - config.min_lr_ratio) * factor;
}

}  // namespace grpo::optim
