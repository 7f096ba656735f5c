// Group advantages against TRL's and verl's own code and against float64 restatements of it (tests/golden/README.md,
// loss). Tolerances, relative to the largest expected value: 1e-9 against expected_f64; 2e-5 against float32 code, 5e-3
// where the rewards of a group are so close that float32 loses them. Degenerate groups are compared with expected_f64
// only: the libraries leave rounding noise there.
#include <ATen/TensorOperators.h>
#include <ATen/ops/argsort.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "algo/golden_arrays.h"
#include "grpo/algo/advantage.h"
#include "support/golden.h"

namespace grpo::algo {
namespace {

struct Mapped {
  const char* name;
  AdvantageConfig config;
};

const std::vector<Mapped> kExpected = {
    {"grpo_std_unbiased_eps1e-4", {Advantage::kGrpo, Std::kSample, 1e-4}},
    {"grpo_std_unbiased_eps1e-6", {Advantage::kGrpo, Std::kSample, 1e-6}},
    {"grpo_std_biased_eps1e-4", {Advantage::kGrpo, Std::kPopulation, 1e-4}},
    {"grpo_std_biased_eps1e-6", {Advantage::kGrpo, Std::kPopulation, 1e-6}},
    {"dr_grpo_no_std", {Advantage::kDrGrpo, Std::kPopulation, 1e-6}},
    {"rloo", {Advantage::kRloo, Std::kPopulation, 1e-6}},
};

const std::vector<Mapped> kLibraries = {
    {"trl_scale_rewards_group", {Advantage::kGrpo, Std::kSample, 1e-4}},
    {"trl_scale_rewards_none", {Advantage::kDrGrpo, Std::kSample, 1e-4}},
    {"trl_scale_rewards_batch", {Advantage::kBatchStd, Std::kSample, 1e-4}},
    {"verl_grpo", {Advantage::kGrpo, Std::kSample, 1e-6}},
    {"verl_grpo_no_std", {Advantage::kDrGrpo, Std::kSample, 1e-6}},
    {"verl_rloo", {Advantage::kRloo, Std::kSample, 1e-6}},
};

// The rollouts of a golden case sorted by group, and how to bring results back into the case's order.
struct Case {
  explicit Case(const nlohmann::json& json)
      : rewards(golden_array(json.at("rewards"))),
        order(at::argsort(golden_array(json.at("group_index")), /*stable=*/true, 0, false)) {
    const auto groups = golden_array(json.at("group_index")).index_select(0, order);
    offsets = {0};
    for (int64_t i = 1; i < groups.size(0); ++i) {
      if (groups[i].item<int64_t>() != groups[i - 1].item<int64_t>()) offsets.push_back(i);
    }
    offsets.push_back(groups.size(0));
  }

  at::Tensor advantages(const AdvantageConfig& config) const {
    const auto sorted = group_advantage(rewards.to(at::kDouble).index_select(0, order), offsets, config);
    return at::empty_like(sorted).index_copy(0, order, sorted);
  }

  at::Tensor live() const {
    std::vector<int64_t> per_rollout;
    for (const auto& group : groups())
      per_rollout.insert(per_rollout.end(), static_cast<size_t>(group.numel()), is_live(group));
    const auto sorted = at::tensor(per_rollout, at::kLong).to(at::kBool);
    return at::empty_like(sorted).index_copy(0, order, sorted);
  }

  // The advantages of each group's rollouts by dr_grpo, which gives different rewards different advantages.
  std::vector<at::Tensor> groups() const {
    const auto values = group_advantage(rewards.index_select(0, order), offsets, {.kind = Advantage::kDrGrpo});
    std::vector<at::Tensor> parts;
    for (size_t q = 0; q + 1 < offsets.size(); ++q) parts.push_back(values.slice(0, offsets[q], offsets[q + 1]));
    return parts;
  }

  static bool is_live(const at::Tensor& advantages) { return advantages.abs().max().item<double>() > 0.0; }

  // Whether the rewards of some live group spread over less than a thousandth of their size.
  bool loses_digits_in_float() const {
    const auto sorted = rewards.index_select(0, order);
    for (size_t q = 0; q + 1 < offsets.size(); ++q) {
      const auto group = sorted.slice(0, offsets[q], offsets[q + 1]);
      const double range = (group.max() - group.min()).item<double>();
      if (range > 0.0 && range < 1e-3 * group.abs().max().item<double>()) return true;
    }
    return false;
  }

  at::Tensor rewards;
  at::Tensor order;
  std::vector<int64_t> offsets;
};

std::vector<nlohmann::json> cases() {
  return testing::read_golden_json(testing::golden_section("loss") / "advantages.json").at("cases");
}

const Mapped* find(const std::vector<Mapped>& table, const std::string& name) {
  const auto row = std::find_if(table.begin(), table.end(), [&](const Mapped& m) { return name == m.name; });
  return row == table.end() ? nullptr : &*row;
}

TEST(GoldenAdvantage, EqualsTheFormulasInDouble) {
  Tally tally("advantages.json expected_f64");
  for (const auto& json : cases()) {
    if (!json.contains("expected_f64")) continue;
    const Case golden(json);
    for (const auto& [name, expected] : json.at("expected_f64").items()) {
      const Mapped* mapped = find(kExpected, name);
      if (mapped == nullptr) {
        tally.not_mapped(name);
        continue;
      }
      EXPECT_LE(relative_difference(golden.advantages(mapped->config), golden_array(expected)), 1e-9)
          << json.at("name") << name;
      tally.compared();
    }
  }
  EXPECT_GT(tally.num_compared(), 0);
}

TEST(GoldenAdvantage, EqualsTheLibrariesWhereAGroupIsLive) {
  Tally tally("advantages.json library_f32");
  int64_t loose = 0;
  for (const auto& json : cases()) {
    const Case golden(json);
    const auto live = golden.live();
    for (const auto& [name, expected] : json.at("library_f32").items()) {
      const Mapped* mapped = find(kLibraries, name);
      if (mapped == nullptr) {
        tally.not_mapped(name);
        continue;
      }
      const auto ours = golden.advantages(mapped->config);
      const auto theirs = golden_array(expected);
      const double tolerance = golden.loses_digits_in_float() ? 5e-3 : 2e-5;
      loose += tolerance > 2e-5 ? 1 : 0;
      EXPECT_LE(relative_difference(ours.masked_select(live), theirs.masked_select(live)), tolerance)
          << json.at("name") << name;
      EXPECT_EQ(ours.masked_select(~live).abs().sum().item<double>(), 0.0) << json.at("name") << name;
      tally.compared();
    }
  }
  EXPECT_GT(tally.num_compared(), loose) << "no entry was held to the strict tolerance";
}

TEST(GoldenAdvantage, FindsTheDegenerateGroups) {
  int64_t groups = 0;
  for (const auto& json : cases()) {
    if (!json.contains("degenerate_group")) continue;
    const Case golden(json);
    const auto found = golden.groups();
    const auto degenerate = json.at("degenerate_group").get<std::vector<bool>>();
    ASSERT_EQ(found.size(), degenerate.size()) << json.at("name");
    for (size_t q = 0; q < found.size(); ++q)
      EXPECT_NE(Case::is_live(found[q]), degenerate[q]) << json.at("name") << " group " << q;
    groups += static_cast<int64_t>(found.size());
  }
  EXPECT_GT(groups, 0);
}

}  // namespace
}  // namespace grpo::algo
