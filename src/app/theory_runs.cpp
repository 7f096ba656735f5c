// `grpo theory variance` and `grpo theory rounds` measure the propositions on a policy and on recorded runs.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/theory.h"
#include "app/theory_text.h"
#include "grpo/algo/theory.h"
#include "grpo/base/error.h"
#include "grpo/config/config.h"
#include "grpo/trainer/gradient_variance.h"
#include "grpo/trainer/recorded_rounds.h"

namespace grpo::app {
namespace {

using Json = nlohmann::ordered_json;
using trainer::VarianceOf;

struct VarianceRun {
  std::string config;
  std::vector<std::string> overrides;
  trainer::VarianceOptions options;
  bool json = false;
  std::string plots;
};

double rollouts_of(const VarianceOf& one) { return static_cast<double>(one.prompts * one.group_size); }

// The exponent of 1 / (Q G) that fits the variances measured for one group size best (least squares of the logarithms).
double exponent(const std::vector<VarianceOf>& all, int64_t group_size) {
  double n = 0.0, x = 0.0, y = 0.0, xx = 0.0, xy = 0.0;
  for (const VarianceOf& one : all) {
    if (one.group_size != group_size) continue;
    const double a = std::log(rollouts_of(one)), b = std::log(one.variance);
    n += 1.0;
    x += a;
    y += b;
    xx += a * a;
    xy += a * b;
  }
  return n < 2.0 ? NAN : -(n * xy - x * y) / (n * xx - x * x);
}

// For each group size Q times the variance, averaged over the numbers of prompts Q.
std::vector<double> variance_of_a_group(const VarianceRun& run, const std::vector<VarianceOf>& all) {
  std::vector<double> means;
  for (const int64_t size : run.options.group_sizes) {
    double sum = 0.0;
    for (const VarianceOf& one : all)
      sum += one.group_size == size ? static_cast<double>(one.prompts) * one.variance : 0.0;
    means.push_back(sum / static_cast<double>(run.options.rollouts.size()));
  }
  return means;
}

Json facts_of(const VarianceRun& run, const std::vector<VarianceOf>& all) {
  Json facts;
  for (const VarianceOf& one : all) {
    facts["steps"].push_back({{"prompts", one.prompts},
                              {"group_size", one.group_size},
                              {"rollouts", one.prompts * one.group_size},
                              {"redraws", one.redraws},
                              {"variance", one.variance},
                              {"error", one.error},
                              {"variance_times_rollouts", one.variance * rollouts_of(one)},
                              {"mean_square", one.mean_square},
                              {"live_share", one.live_share},
                              {"accuracy", one.accuracy}});
  }
  for (const int64_t size : run.options.group_sizes) facts["exponent"][std::to_string(size)] = exponent(all, size);
  if (run.options.group_sizes.size() < 3) return facts;
  const auto measured = variance_of_a_group(run, all);
  const auto fit = algo::fit_group_variance(run.options.group_sizes, measured);
  facts["u_statistic"] = {{"between", fit.between}, {"first", fit.first}, {"second", fit.second}};
  for (size_t i = 0; i < measured.size(); ++i) {
    facts["u_statistic"]["groups"].push_back({{"group_size", run.options.group_sizes[i]},
                                              {"measured", measured[i]},
                                              {"fitted", fit.at(run.options.group_sizes[i])}});
  }
  return facts;
}

std::string text_of(const VarianceRun& run, const Json& facts) {
  Rows table = {{"Q", "G", "Q G", "variance", "+-", "variance Q G", "|mean|^2", "live", "accuracy"}};
  for (const auto& row : facts.at("steps")) {
    table.push_back({std::to_string(row.at("prompts").get<int64_t>()),
                     std::to_string(row.at("group_size").get<int64_t>()),
                     std::to_string(row.at("rollouts").get<int64_t>()), number(row.at("variance"), "%.4g"),
                     number(row.at("error"), "%.2g"), number(row.at("variance_times_rollouts"), "%.4g"),
                     number(row.at("mean_square"), "%.3g"), number(row.at("live_share"), "%.3f"),
                     number(row.at("accuracy"), "%.3f")});
  }
  std::string text = base::concat("Prop. 4.2: the variance of a step's gradient, E |g - E g|^2, over ",
                                  run.options.redraws, " redraws\n", aligned(table), "\nexponent of 1 / (Q G):");
  for (const auto& [size, value] : facts.at("exponent").items()) text += "  G=" + size + " " + number(value, "%.3f");
  if (!facts.contains("u_statistic")) return text + "\n";
  const auto& fit = facts.at("u_statistic");
  text += "\n\nQ Var as a U-statistic's: between + 4(G-2)/(G(G-1)) first + 2/(G(G-1)) second\n  between " +
          number(fit.at("between"), "%.4g") + ", first " + number(fit.at("first"), "%.4g") + ", second " +
          number(fit.at("second"), "%.4g") + "\n";
  table = {{"G", "measured", "fitted"}};
  for (const auto& row : fit.at("groups")) {
    table.push_back({std::to_string(row.at("group_size").get<int64_t>()), number(row.at("measured"), "%.4g"),
                     number(row.at("fitted"), "%.4g")});
  }
  return text + aligned(table);
}

void plot(const VarianceRun& run, const std::vector<VarianceOf>& all) {
  report::ChartPanel panel{.title = "variance over Q G", .lines = {}};
  double reference = 0.0;  // Q G times the variance at the first point
  for (const int64_t size : run.options.group_sizes) {
    panel.lines.push_back({.name = "G = " + std::to_string(size), .points = {}});
    for (const VarianceOf& one : all) {
      if (one.group_size != size) continue;
      if (reference == 0.0) reference = one.variance * rollouts_of(one);
      panel.lines.back().points.push_back({.x = rollouts_of(one),
                                           .y = one.variance,
                                           .low = std::max(one.variance - 2.0 * one.error, 0.5 * one.variance),
                                           .high = one.variance + 2.0 * one.error});
    }
  }
  panel.lines.push_back({.name = "1 / (Q G) from the first point", .points = {}});
  for (const int64_t rollouts : run.options.rollouts) {
    const auto x = static_cast<double>(rollouts);
    panel.lines.back().points.push_back({x, reference / x, reference / x, reference / x});
  }
  write_plot(run.plots, "variance", "Variance of a step's gradient", {panel}, report::ChartScale::kLog);
}

void measure(VarianceRun& run) {
  trainer::TrainConfig config;
  const auto file = config::find_config(run.config);
  config::load(base::fields_of(config), {.file = file, .overrides = run.overrides});
  std::sort(run.options.rollouts.begin(), run.options.rollouts.end());
  run.options.on_progress = [](int64_t done, int64_t total) {
    if (done % 64 == 0)
      std::fprintf(stderr, "%lld of %lld steps\n", static_cast<long long>(done), static_cast<long long>(total));
  };
  const auto all = trainer::gradient_variance(config, file.parent_path().string(), run.options);
  const Json facts = facts_of(run, all);
  std::printf("%s\n", run.json ? facts.dump(2).c_str() : text_of(run, facts).c_str());
  if (!run.plots.empty()) plot(run, all);
}

struct RoundsRun {
  std::string in_rounds, at_once;
  int64_t rounds = 4;
  bool json = false;
};

void compare(const RoundsRun& run) {
  const auto result = trainer::recorded_rounds(run.in_rounds, run.at_once, run.rounds);
  Json facts = {{"prompts", result.prompts}, {"group_size", result.group_size}, {"by_rounds", Json::array()}};
  Rows table = {{"m", base::concat("m rounds of ", result.group_size), base::concat(result.group_size, "m at once")}};
  for (size_t m = 0; m < result.in_rounds.size(); ++m) {
    const Json at_once = m < result.at_once.size() ? Json(result.at_once[m]) : Json();
    facts["by_rounds"].push_back({{"rounds", m + 1}, {"in_rounds", result.in_rounds[m]}, {"at_once", at_once}});
    table.push_back({std::to_string(m + 1), number(result.in_rounds[m], "%.4f"), number(at_once, "%.4f")});
  }
  if (run.json) {
    std::printf("%s\n", facts.dump(2).c_str());
    return;
  }
  std::printf("Prop. 4.4: the share of %lld prompts with a right answer\n%s", static_cast<long long>(result.prompts),
              aligned(table).c_str());
}

}  // namespace

void add_theory_variance(CLI::App& theory) {
  auto* command = theory.add_subcommand(
      "variance", "Prop. 4.2: the variance of the gradient against Q and G, by many redraws of a step");
  auto run = std::make_shared<VarianceRun>();
  command->add_option("--config", run->config, "YAML file, as for grpo-train: policy, problems, reward, algorithm")
      ->required();
  command->add_option("overrides", run->overrides, "key=value, e.g. algorithm.advantage=rloo");
  command->add_option("--group-sizes", run->options.group_sizes, "sizes of groups (G)")->delimiter(',');
  command->add_option("--rollouts", run->options.rollouts, "rollouts of a step (Q G), multiples of each size")
      ->delimiter(',');
  command->add_option("--redraws", run->options.redraws, "steps that are sampled of each kind (default 64)");
  command->add_flag("--json", run->json, "for programs");
  command->add_option("--plots", run->plots, "folder for variance.svg");
  command->callback([run] { measure(*run); });
}

void add_theory_rounds(CLI::App& theory) {
  auto* command = theory.add_subcommand(
      "rounds", "Prop. 4.4 on recorded runs: small groups that come again against one large group");
  auto run = std::make_shared<RoundsRun>();
  command->add_option("run", run->in_rounds, "folder of a run with small groups")->required();
  command->add_option("--at-once", run->at_once, "folder of a run with large groups on the same problems")->required();
  command->add_option("--rounds", run->rounds, "visits of a prompt that are looked at (default 4)")
      ->check(CLI::Range(1, 1000));
  command->add_flag("--json", run->json, "for programs");
  command->callback([run] { compare(*run); });
}

}  // namespace grpo::app
