#include "grpo/algo/advantage.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>
#include <span>
#include <vector>

#include "grpo/base/error.h"

namespace grpo::algo {
namespace {

struct Spread {
  double size = 0.0;
  double mean = 0.0;
  double std = 0.0;
};

// The formula of an estimator. x is a reward minus its group's mean. `group` are size, mean and deviation of the
// group's rewards. `step` are those of what Row::step names, over all rollouts of the step.
using Estimator = double (*)(double x, const Spread& group, const Spread& step, double eps);

double grpo(double x, const Spread& group, const Spread&, double eps) { return x / (group.std + eps); }
double dr_grpo(double x, const Spread&, const Spread&, double) { return x; }
double rloo(double x, const Spread& group, const Spread&, double) { return x * group.size / (group.size - 1.0); }
double batch_std(double x, const Spread&, const Spread& step, double eps) { return x / (step.std + eps); }
double reinforce_pp(double x, const Spread&, const Spread& step, double eps) {
  return (x - step.mean) / (step.std + eps);
}

enum class Over { kNothing, kRewards, kCentred };

struct Row {
  const char* name;
  Estimator value;
  Over step;  // what the `step` of the formula is taken of: nothing, the step's rewards, or its x
};

// The rows are in the order of the enumerators.
constexpr std::array<Row, 5> kTable = {{{"grpo", grpo, Over::kNothing},
                                        {"dr_grpo", dr_grpo, Over::kNothing},
                                        {"rloo", rloo, Over::kNothing},
                                        {"batch_std", batch_std, Over::kRewards},
                                        {"reinforce_pp", reinforce_pp, Over::kCentred}}};

const Row& row_of(Advantage kind) { return kTable.at(static_cast<size_t>(kind)); }

double deviation(double sum_of_squares, double count, Std std) {
  const double divisor = std == Std::kSample ? count - 1.0 : count;
  return divisor > 0.0 ? std::sqrt(std::max(sum_of_squares, 0.0) / divisor) : 0.0;
}

double mean_of(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

Spread spread_of(std::span<const double> rewards, Std std) {
  Spread spread{.size = static_cast<double>(rewards.size()), .mean = mean_of(rewards), .std = 0.0};
  double squares = 0.0;
  for (const double r : rewards) squares += (r - spread.mean) * (r - spread.mean);
  spread.std = deviation(squares, spread.size, std);
  return spread;
}

// Whether these values differ by more than rounding. A deviation that is only rounding must not divide anything.
bool is_spread(std::span<const double> values, const Spread& spread) {
  double most = 0.0;
  for (const double value : values) most = std::max(most, std::abs(value));
  return spread.std > kEqualRewards * most;
}

double largest(std::span<const double> values) {
  return values.empty() ? 0.0 : *std::max_element(values.begin(), values.end());
}

// Whether rewards are equal up to rounding. Rounding is relative to the terms of a reward, which can be much larger
// than their sum.
bool all_equal(std::span<const double> rewards, std::span<const double> magnitudes) {
  const auto [least, most] = std::minmax_element(rewards.begin(), rewards.end());
  return rewards.empty() || *most - *least <= kEqualRewards * largest(magnitudes);
}

// The rewards, on the host and divided into groups.
class Groups {
 public:
  Groups(const at::Tensor& rewards, at::IntArrayRef offsets, const at::Tensor& magnitudes)
      : values_(on_host(rewards)),
        magnitudes_(magnitudes.defined() ? on_host(magnitudes) : values_.abs()),
        offsets_(offsets) {
    GRPO_CHECK(rewards.dim() == 1 && rewards.is_floating_point(), "rewards: ", rewards.sizes(), " ",
               rewards.scalar_type());
    GRPO_CHECK(!offsets.empty() && offsets.front() == 0 && offsets.back() == rewards.size(0) &&
                   std::is_sorted(offsets.begin(), offsets.end()),
               "group_offsets ", offsets, " do not cut ", rewards.size(0), " rewards into groups");
    GRPO_CHECK(magnitudes_.sizes() == values_.sizes(), "magnitudes: ", magnitudes_.sizes(),
               " of rewards: ", values_.sizes());
    for (size_t q = 0; q < size(); ++q) check_finite(q);
  }

  size_t size() const { return offsets_.size() - 1; }
  size_t first(size_t q) const { return static_cast<size_t>(offsets_[q]); }
  std::span<const double> operator[](size_t q) const { return group(values_, q); }
  bool live(size_t q) const { return !all_equal((*this)[q], group(magnitudes_, q)); }

 private:
  static at::Tensor on_host(const at::Tensor& numbers) {
    return numbers.detach().to(at::kCPU, at::kDouble).contiguous();
  }

  std::span<const double> group(const at::Tensor& numbers, size_t q) const {
    return {numbers.const_data_ptr<double>() + offsets_[q], static_cast<size_t>(offsets_[q + 1] - offsets_[q])};
  }

  void check_finite(size_t q) const {
    const auto group = (*this)[q];
    const auto bad = std::find_if(group.begin(), group.end(), [](double r) { return !std::isfinite(r); });
    if (bad == group.end()) return;
    throw base::Error(base::concat("reward ", first(q) + static_cast<size_t>(bad - group.begin()), " (group ", q,
                                   ", completion ", bad - group.begin(), ") is ", *bad,
                                   "; expected a finite number from every reward term"));
  }

  at::Tensor values_;
  at::Tensor magnitudes_;
  at::IntArrayRef offsets_;
};

// r - m of each rollout. In a group of equal rewards it is set to exactly 0, which the difference of rounded numbers
// need not be.
std::vector<double> centred(const Groups& groups, size_t q) {
  const auto rewards = groups[q];
  std::vector<double> values(rewards.size(), 0.0);
  if (!groups.live(q)) return values;
  const double mean = mean_of(rewards);
  for (size_t i = 0; i < values.size(); ++i) values[i] = rewards[i] - mean;
  return values;
}

Spread spread_of_step(const Groups& groups, Over over, Std std) {
  std::vector<double> values;
  for (size_t q = 0; q < groups.size() && over != Over::kNothing; ++q) {
    const auto own = over == Over::kCentred ? centred(groups, q) : std::vector(groups[q].begin(), groups[q].end());
    values.insert(values.end(), own.begin(), own.end());
  }
  return values.empty() ? Spread() : spread_of(values, std);
}

}  // namespace

std::vector<std::string> enum_names(Advantage) {
  std::vector<std::string> names;
  for (const Row& row : kTable) names.emplace_back(row.name);
  return names;
}

std::vector<std::string> enum_names(Std) { return {"population", "sample"}; }

bool looks_beyond_group(Advantage kind) { return row_of(kind).step != Over::kNothing; }

at::Tensor group_advantage(const at::Tensor& rewards, at::IntArrayRef group_offsets, const AdvantageConfig& config,
                           const at::Tensor& magnitudes) {
  const Groups groups(rewards, group_offsets, magnitudes);
  const Row& row = row_of(config.kind);
  const Spread step = spread_of_step(groups, row.step, config.std);
  auto advantages = at::zeros({rewards.size(0)}, at::kDouble);
  double* out = advantages.mutable_data_ptr<double>();
  for (size_t q = 0; q < groups.size(); ++q) {
    if (!groups.live(q)) continue;
    const auto group = groups[q];
    const Spread spread = spread_of(group, config.std);
    for (size_t i = 0; i < group.size(); ++i) {
      out[groups.first(q) + i] = row.value(group[i] - spread.mean, spread, step, config.std_eps);
    }
  }
  return advantages.to(rewards.options());
}

at::Tensor baseline_advantage(const at::Tensor& rewards, const at::Tensor& baselines, const AdvantageConfig& config) {
  std::vector<int64_t> offsets(static_cast<size_t>(rewards.size(0)) + 1);
  std::iota(offsets.begin(), offsets.end(), 0);
  const Groups singles(rewards, offsets, {});  // made only because it throws for rewards that are not finite
  const auto x =
      (rewards.detach().to(at::kCPU, at::kDouble) - baselines.detach().to(at::kCPU, at::kDouble)).contiguous();
  const std::span<const double> values(x.const_data_ptr<double>(), static_cast<size_t>(x.numel()));
  const bool centres = config.kind == Advantage::kReinforcePp;
  const bool divides = centres || config.kind == Advantage::kGrpo || config.kind == Advantage::kBatchStd;
  if (values.empty() || !divides) return x.to(rewards.options());
  const Spread step = spread_of(values, config.std);
  const auto shifted = centres ? x - step.mean : x;
  return (is_spread(values, step) ? shifted / (step.std + config.std_eps) : shifted).to(rewards.options());
}

}  // namespace grpo::algo
