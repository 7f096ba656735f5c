#include "grpo/optim/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "grpo/base/error.h"

namespace grpo::optim {
namespace {

// updates: since the warm-up; length: of the whole part after it, at least 1. Both end at 0.
double constant(double, double) { return 1.0; }
double linear(double updates, double length) { return std::max(0.0, 1.0 - updates / length); }
double cosine(double updates, double length) { return std::max(0.0, 0.5 * (1.0 + std::cos(std::numbers::pi * updates / length))); }

struct Row {
  const char* name;
  double (*shape)(double updates, double length);
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
  const auto warmup = static_cast<double>(config.warmup_steps);
  if (u < warmup) return u / warmup;
  const double length = std::max(1.0, static_cast<double>(total_updates) - warmup);
  const double factor = kTable.at(static_cast<size_t>(config.schedule)).shape(u - warmup, length);
  return config.min_lr_ratio + (1.0 - config.min_lr_ratio) * factor;
}

}  // namespace grpo::optim
